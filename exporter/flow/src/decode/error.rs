//! Errors of decoding.

use std::fmt;

use thiserror::Error;

use crate::gob::GobError;

/// An invalid notification header.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// The bytes end inside the notification header.
    #[error("invalid {message}: expected a header of {needed} bytes, found {have}")]
    Incomplete {
        /// The message.
        message: Message,
        /// Bytes of its header.
        needed: usize,
        /// Bytes of the payload.
        have: usize,
    },
    /// A byte has an unknown value, so the rest cannot be decoded.
    #[error("invalid {message}: expected a known {fault} at offset {offset}, found {value}")]
    Invalid {
        /// The message.
        message: Message,
        /// The meaning of the byte.
        fault: Fault,
        /// Offset of the byte in the payload.
        offset: usize,
        /// Its value.
        value: u8,
    },
}

impl HeaderError {
    /// The reason in telemetry: one of four.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete { have: 0, .. } => "empty",
            Self::Incomplete { .. } => "incomplete",
            Self::Invalid { fault: Fault::Kind, .. } => "unknown_type",
            Self::Invalid { fault: Fault::Version, .. } => "unknown_version",
        }
    }
}

/// The message that was being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message of an unknown or another type.
    Unknown,
    /// Trace notification.
    Trace,
    /// Drop notification.
    Drop,
    /// Debug capture.
    Capture,
    /// Policy verdict.
    PolicyVerdict,
    /// Debug message.
    Debug,
    /// Recorder capture.
    RecorderCapture,
    /// Socket translation.
    Sock,
}

impl fmt::Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unknown => "message",
            Self::Trace => "trace",
            Self::Drop => "drop",
            Self::Capture => "capture",
            Self::PolicyVerdict => "policy verdict",
            Self::Debug => "debug message",
            Self::RecorderCapture => "recorder capture",
            Self::Sock => "socket event",
        })
    }
}

/// The byte of a notification header with an unknown value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The message type.
    Kind,
    /// The version of a trace or drop.
    Version,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Kind => "type",
            Self::Version => "version",
        })
    }
}

/// An invalid notification of the agent, or an invalid record of a proxy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes are not gob.
    #[error("{0}")]
    Gob(#[from] GobError),
    /// A field has another type than Cilium's.
    #[error("invalid {field}: expected {wanted}")]
    Field {
        /// Its name in Go.
        field: &'static str,
        /// The expected type.
        wanted: &'static str,
    },
    /// The text of a notification is not the JSON of its kind.
    #[error("invalid notification: expected the JSON of its kind at line {line}, column {column}")]
    Json {
        /// Line in the JSON, from 1.
        line: usize,
        /// Column in the line.
        column: usize,
    },
    /// The time of a record is missing or invalid.
    #[error("invalid Timestamp: expected a time of RFC 3339")]
    Time,
}

/// The error of a payload of any kind.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// An event of the datapath.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A notification of the agent.
    #[error("cannot decode an agent notification: {0}")]
    Agent(#[source] RecordError),
    /// An access-log record of a proxy.
    #[error("cannot decode an access-log record: {0}")]
    AccessLog(#[source] RecordError),
}

impl DecodeError {
    /// The reason in telemetry: one of a fixed set.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Header(error) => error.reason(),
            Self::Agent(error) | Self::AccessLog(error) => match error {
                RecordError::Gob(error) => error.reason(),
                RecordError::Field { .. } => "record_field",
                RecordError::Json { .. } => "record_json",
                RecordError::Time => "record_time",
            },
        }
    }
}
