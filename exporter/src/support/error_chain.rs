//! An error and its causes: as an iterator, and as one line.

use std::error::Error;
use std::io;

/// An error and its causes, outermost first. An `io::Error` has its inner error's source: that one comes first.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Texts of errors that only wrap their cause.
const WRAPPERS: [&str; 3] = ["transport error", "tcp connect error", "client error (Connect)"];

/// An error and its causes in one line, each text once: many libraries repeat their cause's text in their own.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in causes(error).map(ToString::to_string) {
        if !WRAPPERS.contains(&text.as_str()) && !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::error_chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Wrapper {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn each_text_appears_once() {
        for (text, expected) in [
            ("cannot connect", "cannot connect: no route"),
            ("cannot connect: no route", "cannot connect: no route"),
            ("transport error", "no route"),
        ] {
            let error = Wrapper { text, source: io::Error::other("no route") };
            assert_eq!(error_chain(&error), expected);
        }
    }
}
