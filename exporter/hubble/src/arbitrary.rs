//! Messages of random content, for property tests of this crate and its users.

use prost::Name;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use crate::proto;

/// Returns a message of random content: any field may be set, enums also to numbers without a name.
///
/// # Panics
/// The message is not part of the API.
pub fn any<M: Name + Default>(seed: u64) -> M {
    let descriptor = proto::descriptor(&M::full_name()).expect("a message of the API");
    fill(&descriptor, &mut fastrand::Rng::with_seed(seed), 0).transcode_to().expect("a message of its own descriptor")
}

fn fill(descriptor: &MessageDescriptor, random: &mut fastrand::Rng, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if random.u8(..) < 100 || depth > 6 {
            continue;
        }
        let kind = field.kind();
        let value = if field.is_list() {
            Value::List((0..random.usize(0..3)).map(|_| value(&kind, random, depth)).collect())
        } else {
            value(&kind, random, depth)
        };
        message.set_field(&field, value);
    }
    message
}

fn value(kind: &Kind, random: &mut fastrand::Rng, depth: usize) -> Value {
    const TEXTS: [&str; 8] =
        ["", "pod", "a/b", "\u{1b}[31mred\u{9b}", "two\nlines\ttab\r", "é<&>\u{2028}\u{202e}", "::1", "reserved:x"];
    let small = random.bool();
    match kind {
        Kind::Bool => Value::Bool(random.bool()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(if small { random.i32(0..9) } else { random.i32(..) })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(if small { random.i64(0..9) } else { random.i64(..) })
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(if small { random.u32(0..9) } else { random.u32(..) }),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(if small { random.u64(0..9) } else { random.u64(..) }),
        Kind::Float => Value::F32(random.f32()),
        Kind::Double => Value::F64(if small { f64::INFINITY } else { f64::from(random.u16(..)) / 4.0 }),
        Kind::String => Value::String(random.choice(TEXTS).unwrap_or_default().to_owned()),
        Kind::Bytes => Value::Bytes(vec![random.u8(..); random.usize(0..9)].into()),
        Kind::Enum(_) => Value::EnumNumber(random.i32(-2..260)),
        Kind::Message(inner) => Value::Message(fill(inner, random, depth + 1)),
    }
}
