//! An encoded message, in place of the generated type in servers and clients.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// The bytes of one message, which are sent unchanged. Cloning copies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded(pub Bytes);

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        // Called for fields of inner messages only, and this type is never one.
        prost::encoding::skip_field(wire_type, tag, buffer, context)
    }

    /// Takes all bytes without decoding.
    fn merge(&mut self, mut buffer: impl Buf) -> Result<(), DecodeError> {
        self.0 = buffer.copy_to_bytes(buffer.remaining());
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
