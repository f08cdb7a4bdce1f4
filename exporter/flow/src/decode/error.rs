//! Why a payload gives no flow.

use std::fmt;

use thiserror::Error;

use crate::gob::GobError;

/// A notification header that cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// The bytes end inside the notification header: more of them would help.
    #[error("{message} ends at offset {have}, its header has {needed} bytes")]
    Incomplete {
        /// What was to be read.
        message: Message,
        /// Bytes of its header.
        needed: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// A byte has a value that nobody can read on from.
    #[error("{message} with unknown {fault} {value} at offset {offset}")]
    Invalid {
        /// What was to be read.
        message: Message,
        /// What the byte means.
        fault: Fault,
        /// Where it stands, bytes from the start of the payload.
        offset: usize,
        /// Its value.
        value: u8,
    },
}

impl ParseError {
    /// A word for counters: one of four, whatever the input.
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
    /// Its type is not known yet, or not decoded here.
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

/// Which byte of the notification header has an unknown value.
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

/// A value of the agent or of a proxy that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// It is no gob.
    #[error("{0}")]
    Gob(#[from] GobError),
    /// A field has another type than Cilium's.
    #[error("{field} is not {wanted}")]
    Field {
        /// Its name in Go.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The text of a notification is not what its kind says.
    #[error("notification is not the JSON of its kind, at line {line}, column {column}")]
    Json {
        /// Line in the JSON, from 1.
        line: usize,
        /// Column in the line.
        column: usize,
    },
    /// A record without a time, or with one that is none.
    #[error("Timestamp is no time as RFC 3339 has it")]
    Time,
}

/// Why a payload gives neither a flow nor an event.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The datapath's part.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The agent's notification.
    #[error("agent notification: {0}")]
    Agent(#[source] RecordError),
    /// The proxy's record.
    #[error("access log: {0}")]
    AccessLog(#[source] RecordError),
}

impl DecodeError {
    /// A word for counters: one of a few, whatever the input.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Parse(error) => error.reason(),
            Self::Agent(error) | Self::AccessLog(error) => match error {
                RecordError::Gob(error) => error.reason(),
                RecordError::Field { .. } => "record_field",
                RecordError::Json { .. } => "record_json",
                RecordError::Time => "record_time",
            },
        }
    }
}
