//! Hubble's own flow filters: their answer for each pair of request and event, by tests/peers/harness/filters.go.

use anyhow::{Result, bail, ensure};

use super::{pipe, read_frame, write_tagged};

/// Whether each event passes, or the text of Cilium's error if the request is invalid.
pub type Verdicts = Result<Vec<bool>, String>;

/// Holds each request against all events. Both are encoded protobuf: `observer.ExportEvent` (a flow, an agent event, a
/// debug event or a loss, with its time) and `observer.GetFlowsRequest`, of which whitelist and blacklist count.
pub fn filter(events: &[Vec<u8>], requests: &[Vec<u8>]) -> Result<Vec<Verdicts>> {
    pipe(
        &["filters"],
        |out| {
            events.iter().try_for_each(|event| write_tagged(out, b'E', event))?;
            requests.iter().try_for_each(|request| write_tagged(out, b'F', request))
        },
        |input| {
            let (mut found, mut frame) = (Vec::with_capacity(requests.len()), Vec::new());
            while read_frame(input, &mut frame)? {
                found.push(verdicts(&frame, events.len())?);
            }
            ensure!(found.len() == requests.len(), "{} answers to {} requests", found.len(), requests.len());
            Ok(found)
        },
    )
}

fn verdicts(frame: &[u8], events: usize) -> Result<Verdicts> {
    match frame.split_first() {
        Some((0, bits)) if bits.len() == events.div_ceil(8) => {
            Ok(Ok((0..events).map(|at| bits[at / 8] >> (at % 8) & 1 == 1).collect()))
        }
        Some((1, text)) => Ok(Err(String::from_utf8_lossy(text).into_owned())),
        _ => bail!("an answer of {} bytes for {events} events", frame.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::verdicts;

    #[test]
    fn answer_is_bitmap_or_text() {
        let of = |frame: &[u8]| verdicts(frame, 9).map_err(|error| error.to_string());
        let set = |list: &[usize]| Ok(Ok((0..9).map(|at| list.contains(&at)).collect::<Vec<_>>()));
        assert_eq!(of(&[0, 0b1000_0010, 1]), set(&[1, 7, 8]));
        assert_eq!(of(b"\x01why"), Ok(Err("why".to_owned())));
        for bad in [&[][..], &[0, 0], &[0, 0, 0, 0], &[2]] {
            of(bad).expect_err("no answer");
        }
    }
}
