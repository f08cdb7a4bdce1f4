//! Health (grpc.health.v1) and server reflection (v1 and v1alpha).

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use super::limits::MAX_MESSAGE_BYTES;
use crate::services::HEALTH_SERVICE;
use crate::support::grpc_calls::GrpcCalls;

/// The server's health; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// The descriptors of all services, health and reflection included.
    services: FileDescriptorSet,
}

/// The descriptor sets of the services are invalid together.
#[derive(Debug, thiserror::Error)]
#[error("cannot build gRPC reflection: {source}")]
pub struct ReflectionError {
    #[from]
    source: tonic_reflection::server::Error,
}

impl Health {
    /// Adds health and reflection to the routes; `descriptors` describe the services in `routes`.
    ///
    /// # Errors
    /// A descriptor set is invalid.
    pub async fn add_to(routes: Routes, descriptors: FileDescriptorSet) -> Result<(Self, Routes), ReflectionError> {
        let (reporter, service) = health_reporter();
        let mut services = descriptors.clone();
        let of_libraries: [&[u8]; 3] = [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        for encoded in of_libraries {
            // They are constants, and valid.
            services.file.extend(FileDescriptorSet::decode(encoded).unwrap_or_default().file);
        }
        let health = Self { reporter, services };
        health.set(true).await;
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_file_descriptor_set(descriptors.clone())
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (v1, v1alpha) = (builder(), builder());
        // Each version lists the other one too.
        let v1 = v1.register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
        let v1alpha = v1alpha.register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET);
        let routes = routes
            .add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(v1.build_v1()?.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(v1alpha.build_v1alpha()?.max_decoding_message_size(MAX_MESSAGE_BYTES));
        Ok((health, routes))
    }

    /// Registers the methods of all services, whose calls are counted from then on.
    pub(super) fn register_methods(&self, calls: &GrpcCalls) {
        for file in &self.services.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                for method in &service.method {
                    calls.register(&name, method.name(), (method.client_streaming(), method.server_streaming()));
                }
            }
        }
    }

    /// Sets the health to SERVING or NOT_SERVING; watching clients are notified.
    pub async fn set(&self, is_serving: bool) {
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", HEALTH_SERVICE] {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
