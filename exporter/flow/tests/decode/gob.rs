//! A writer of gob values with their descriptors, as Go's encoder lays them out, for types that tests make up.

/// A type. What is not basic gets its own descriptor wherever it stands: gob allows equal ones.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    Bytes,
    Int,
    Uint,
    Text,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// A BinaryMarshaler.
    Marshaler,
    Struct(Vec<(&'static str, Type)>),
}

/// A value; its type defines how it is written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Left out, being zero, empty or nil.
    Zero,
    Int(i64),
    Uint(u64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// In the order of the type's fields; what is missing is zero.
    Struct(Vec<(&'static str, Value)>),
}

pub(crate) fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

/// A whole value behind its descriptors, ids from `first` on.
pub(crate) fn encode(of: &Type, value: &Value, first: i64) -> Vec<u8> {
    let mut stream = Stream { out: Vec::new(), next: first };
    let typed = stream.describe(of);
    let mut body = Vec::new();
    int(&mut body, typed.id);
    write(&mut body, &typed, value);
    stream.message(&body);
    stream.out
}

/// A type whose descriptor is written.
struct Typed {
    id: i64,
    parts: Vec<(&'static str, Typed)>,
    is_struct: bool,
    of: Type,
}

struct Stream {
    out: Vec<u8>,
    next: i64,
}

impl Stream {
    fn message(&mut self, body: &[u8]) {
        uint(&mut self.out, body.len() as u64);
        self.out.extend_from_slice(body);
    }

    fn describe(&mut self, of: &Type) -> Typed {
        let (id, parts) = match of {
            Type::Int => (2, Vec::new()),
            Type::Uint => (3, Vec::new()),
            Type::Bytes => (5, Vec::new()),
            Type::Text => (6, Vec::new()),
            Type::List(element) => self.composed(2, vec![("", element)], "list"),
            Type::Map(key, element) => self.composed(4, vec![("", key), ("", element)], "map"),
            Type::Marshaler => self.composed(6, Vec::new(), "marshaler"),
            Type::Struct(fields) => {
                self.composed(3, fields.iter().map(|(name, of)| (*name, of)).collect(), "structure")
            }
        };
        Typed { id, parts, is_struct: matches!(of, Type::Struct(_)), of: of.clone() }
    }

    /// The parts' descriptors first, then this one's: `wire` is the field of `wireType`.
    fn composed(
        &mut self,
        wire: u64,
        parts: Vec<(&'static str, &Type)>,
        name: &str,
    ) -> (i64, Vec<(&'static str, Typed)>) {
        let parts: Vec<_> = parts.into_iter().map(|(name, of)| (name, self.describe(of))).collect();
        let id = self.next;
        self.next += 1;
        let mut body = Vec::new();
        int(&mut body, -id);
        uint(&mut body, wire);
        // The type's own structure, and in it CommonType{Name, Id}.
        body.extend_from_slice(&[1, 1]);
        bytes(&mut body, name.as_bytes());
        body.push(1);
        int(&mut body, id);
        body.push(0);
        if wire == 3 {
            body.push(1);
            uint(&mut body, parts.len() as u64);
            for (name, typed) in &parts {
                body.push(1);
                bytes(&mut body, name.as_bytes());
                body.push(1);
                int(&mut body, typed.id);
                body.push(0);
            }
        } else {
            for (_, typed) in &parts {
                body.push(1);
                int(&mut body, typed.id);
            }
        }
        body.extend_from_slice(&[0, 0]);
        self.message(&body);
        (id, parts)
    }
}

fn write(out: &mut Vec<u8>, typed: &Typed, value: &Value) {
    match (value, &typed.of) {
        (Value::Int(number), _) => int(out, *number),
        (Value::Uint(number), _) => uint(out, *number),
        (Value::Bytes(value), _) => bytes(out, value),
        (Value::List(values), _) => {
            uint(out, values.len() as u64);
            values.iter().for_each(|value| write(out, &typed.parts[0].1, value));
        }
        (Value::Map(entries), _) => {
            uint(out, entries.len() as u64);
            for (key, value) in entries {
                write(out, &typed.parts[0].1, key);
                write(out, &typed.parts[1].1, value);
            }
        }
        (Value::Struct(fields), _) => structure(out, typed, fields),
        // Inside of lists and maps zero values are written too.
        (Value::Zero, Type::Struct(_)) => out.push(0),
        (Value::Zero, _) => uint(out, 0),
    }
}

fn structure(out: &mut Vec<u8>, typed: &Typed, fields: &[(&'static str, Value)]) {
    assert!(typed.is_struct);
    assert!(fields.iter().all(|(name, _)| typed.parts.iter().any(|(known, _)| known == name)), "{fields:?}");
    let mut last = -1;
    for (number, (name, part)) in typed.parts.iter().enumerate() {
        let value = fields.iter().find(|(field, _)| field == name).map_or(&Value::Zero, |(_, value)| value);
        if matches!(value, Value::Zero) {
            continue;
        }
        uint(out, (number as i64 - last).cast_unsigned());
        last = number as i64;
        write(out, part, value);
    }
    out.push(0);
}

fn uint(out: &mut Vec<u8>, value: u64) {
    if value < 128 {
        out.push(value as u8);
        return;
    }
    let bytes = value.to_be_bytes();
    let skip = (value.leading_zeros() / 8) as usize;
    out.push((-((8 - skip) as i8)).cast_unsigned());
    out.extend_from_slice(&bytes[skip..]);
}

fn int(out: &mut Vec<u8>, value: i64) {
    let bits = if value < 0 { (!value).cast_unsigned() << 1 | 1 } else { value.cast_unsigned() << 1 };
    uint(out, bits);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    uint(out, value.len() as u64);
    out.extend_from_slice(value);
}
