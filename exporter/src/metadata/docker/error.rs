//! Why docker did not answer a request.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes of a server's message in an error.
const MESSAGE_BYTES: usize = 200;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DockerError {
    /// Nothing listens.
    #[error("cannot connect to {path}: {source}", path = .path.display())]
    Connect { path: PathBuf, source: io::Error },
    /// The answer is late.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than it may be.
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// The server refuses the request.
    #[error("the server answers {status}: {message}")]
    Status { status: u16, message: String },
    /// The answer is no HTTP, no JSON, or another document.
    #[error("invalid answer: {0}")]
    Answer(String),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
}

impl DockerError {
    pub(super) fn status(status: u16, message: &str) -> Self {
        Self::Status { status, message: cut(message, MESSAGE_BYTES).to_owned() }
    }

    pub(super) fn answer(message: &str) -> Self {
        Self::Answer(cut(message, MESSAGE_BYTES).to_owned())
    }

    /// The reason that counts it.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "docker_connect",
            Self::Timeout(_) => "docker_timeout",
            Self::TooLarge(_) => "docker_too_large",
            Self::Status { .. } => "docker_status",
            Self::Answer(_) => "docker_answer",
            Self::Closed => "docker_closed",
        }
    }

    /// Returns whether there is no server.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Returns whether the server gave no answer. The cause may be one container, or the server hangs.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Closed)
    }
}

/// The longest prefix of a text with at most `max` bytes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
