//! Package observer, generated from hubble/proto/observer/observer.proto by hubble/tests/proto.
/// Generated client implementations.
pub mod observer_client {
    use tonic::codegen::*;
    use tonic::codegen::http::Uri;
    #[derive(Debug, Clone)]
    pub struct ObserverClient<T> {
        inner: tonic::client::Grpc<T>,
    }
    impl<T> ObserverClient<T>
    where
        T: tonic::client::GrpcService<tonic::body::Body>,
        T::Error: Into<StdError>,
        T::ResponseBody: Body<Data = Bytes> + std::marker::Send + 'static,
        <T::ResponseBody as Body>::Error: Into<StdError> + std::marker::Send,
    {
        pub fn new(inner: T) -> Self {
            let inner = tonic::client::Grpc::new(inner);
            Self { inner }
        }
        pub fn with_origin(inner: T, origin: Uri) -> Self {
            let inner = tonic::client::Grpc::with_origin(inner, origin);
            Self { inner }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> ObserverClient<InterceptedService<T, F>>
        where
            F: tonic::service::Interceptor,
            T::ResponseBody: Default,
            T: tonic::codegen::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<
                    <T as tonic::client::GrpcService<tonic::body::Body>>::ResponseBody,
                >,
            >,
            <T as tonic::codegen::Service<
                http::Request<tonic::body::Body>,
            >>::Error: Into<StdError> + std::marker::Send + std::marker::Sync,
        {
            ObserverClient::new(InterceptedService::new(inner, interceptor))
        }
        /// Compress requests with the given encoding.
        ///
        /// This requires the server to support it otherwise it might respond with an
        /// error.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.inner = self.inner.send_compressed(encoding);
            self
        }
        /// Enable decompressing responses.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.inner = self.inner.accept_compressed(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.inner = self.inner.max_decoding_message_size(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.inner = self.inner.max_encoding_message_size(limit);
            self
        }
        pub async fn get_flows(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::GetFlowsRequest>,
        ) -> std::result::Result<
            tonic::Response<tonic::codec::Streaming<eyepiece_hubble::proto::observer::GetFlowsResponse>>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/GetFlows",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "GetFlows"));
            self.inner.server_streaming(req, path, codec).await
        }
        pub async fn get_agent_events(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::GetAgentEventsRequest>,
        ) -> std::result::Result<
            tonic::Response<tonic::codec::Streaming<eyepiece_hubble::proto::observer::GetAgentEventsResponse>>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/GetAgentEvents",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "GetAgentEvents"));
            self.inner.server_streaming(req, path, codec).await
        }
        pub async fn get_debug_events(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::GetDebugEventsRequest>,
        ) -> std::result::Result<
            tonic::Response<tonic::codec::Streaming<eyepiece_hubble::proto::observer::GetDebugEventsResponse>>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/GetDebugEvents",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "GetDebugEvents"));
            self.inner.server_streaming(req, path, codec).await
        }
        pub async fn get_nodes(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::GetNodesRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::GetNodesResponse>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/GetNodes",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "GetNodes"));
            self.inner.unary(req, path, codec).await
        }
        pub async fn get_namespaces(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::GetNamespacesRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::GetNamespacesResponse>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/GetNamespaces",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "GetNamespaces"));
            self.inner.unary(req, path, codec).await
        }
        pub async fn server_status(
            &mut self,
            request: impl tonic::IntoRequest<eyepiece_hubble::proto::observer::ServerStatusRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::ServerStatusResponse>,
            tonic::Status,
        > {
            self.inner
                .ready()
                .await
                .map_err(|e| {
                    tonic::Status::unknown(
                        format!("Service was not ready: {}", e.into()),
                    )
                })?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(
                "/observer.Observer/ServerStatus",
            );
            let mut req = request.into_request();
            req.extensions_mut()
                .insert(GrpcMethod::new("observer.Observer", "ServerStatus"));
            self.inner.unary(req, path, codec).await
        }
    }
}
// This file is @generated by prost-build.
/// Generated server implementations.
pub mod observer_server {
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with ObserverServer.
    #[async_trait]
    pub trait Observer: std::marker::Send + std::marker::Sync + 'static {
        /// Server streaming response type for the GetFlows method.
        type GetFlowsStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<eyepiece_hubble::proto::Encoded, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn get_flows(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::Encoded>,
        ) -> std::result::Result<tonic::Response<Self::GetFlowsStream>, tonic::Status>;
        /// Server streaming response type for the GetAgentEvents method.
        type GetAgentEventsStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<eyepiece_hubble::proto::Encoded, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn get_agent_events(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::observer::GetAgentEventsRequest>,
        ) -> std::result::Result<
            tonic::Response<Self::GetAgentEventsStream>,
            tonic::Status,
        >;
        /// Server streaming response type for the GetDebugEvents method.
        type GetDebugEventsStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<eyepiece_hubble::proto::Encoded, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn get_debug_events(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::observer::GetDebugEventsRequest>,
        ) -> std::result::Result<
            tonic::Response<Self::GetDebugEventsStream>,
            tonic::Status,
        >;
        async fn get_nodes(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::observer::GetNodesRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::GetNodesResponse>,
            tonic::Status,
        >;
        async fn get_namespaces(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::observer::GetNamespacesRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::GetNamespacesResponse>,
            tonic::Status,
        >;
        async fn server_status(
            &self,
            request: tonic::Request<eyepiece_hubble::proto::observer::ServerStatusRequest>,
        ) -> std::result::Result<
            tonic::Response<eyepiece_hubble::proto::observer::ServerStatusResponse>,
            tonic::Status,
        >;
    }
    #[derive(Debug)]
    pub struct ObserverServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> ObserverServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for ObserverServer<T>
    where
        T: Observer,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(
            &mut self,
            _cx: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/observer.Observer/GetFlows" => {
                    struct GetFlowsSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::ServerStreamingService<eyepiece_hubble::proto::Encoded>
                    for GetFlowsSvc<T> {
                        type Response = eyepiece_hubble::proto::Encoded;
                        type ResponseStream = T::GetFlowsStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<eyepiece_hubble::proto::Encoded>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::get_flows(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetFlowsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/observer.Observer/GetAgentEvents" => {
                    struct GetAgentEventsSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::ServerStreamingService<
                        eyepiece_hubble::proto::observer::GetAgentEventsRequest,
                    > for GetAgentEventsSvc<T> {
                        type Response = eyepiece_hubble::proto::Encoded;
                        type ResponseStream = T::GetAgentEventsStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                eyepiece_hubble::proto::observer::GetAgentEventsRequest,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::get_agent_events(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetAgentEventsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/observer.Observer/GetDebugEvents" => {
                    struct GetDebugEventsSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::ServerStreamingService<
                        eyepiece_hubble::proto::observer::GetDebugEventsRequest,
                    > for GetDebugEventsSvc<T> {
                        type Response = eyepiece_hubble::proto::Encoded;
                        type ResponseStream = T::GetDebugEventsStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                eyepiece_hubble::proto::observer::GetDebugEventsRequest,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::get_debug_events(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetDebugEventsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/observer.Observer/GetNodes" => {
                    struct GetNodesSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::UnaryService<
                        eyepiece_hubble::proto::observer::GetNodesRequest,
                    > for GetNodesSvc<T> {
                        type Response = eyepiece_hubble::proto::observer::GetNodesResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                eyepiece_hubble::proto::observer::GetNodesRequest,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::get_nodes(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetNodesSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/observer.Observer/GetNamespaces" => {
                    struct GetNamespacesSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::UnaryService<
                        eyepiece_hubble::proto::observer::GetNamespacesRequest,
                    > for GetNamespacesSvc<T> {
                        type Response = eyepiece_hubble::proto::observer::GetNamespacesResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                eyepiece_hubble::proto::observer::GetNamespacesRequest,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::get_namespaces(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetNamespacesSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/observer.Observer/ServerStatus" => {
                    struct ServerStatusSvc<T: Observer>(pub Arc<T>);
                    impl<
                        T: Observer,
                    > tonic::server::UnaryService<
                        eyepiece_hubble::proto::observer::ServerStatusRequest,
                    > for ServerStatusSvc<T> {
                        type Response = eyepiece_hubble::proto::observer::ServerStatusResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                eyepiece_hubble::proto::observer::ServerStatusRequest,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as Observer>::server_status(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ServerStatusSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => {
                    Box::pin(async move {
                        let mut response = http::Response::new(
                            tonic::body::Body::default(),
                        );
                        let headers = response.headers_mut();
                        headers
                            .insert(
                                tonic::Status::GRPC_STATUS,
                                (tonic::Code::Unimplemented as i32).into(),
                            );
                        headers
                            .insert(
                                http::header::CONTENT_TYPE,
                                tonic::metadata::GRPC_CONTENT_TYPE,
                            );
                        Ok(response)
                    })
                }
            }
        }
    }
    impl<T> Clone for ObserverServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "observer.Observer";
    impl<T> tonic::server::NamedService for ObserverServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
