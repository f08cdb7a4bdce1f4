//! Reads the running kernel's BTF: struct field offsets, drop reasons, the drop tracepoint's arguments.
//!
//! Format: the kernel's Documentation/bpf/btf.rst; in the machine's byte order, as the kernel exports it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The file with the kernel's types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// The error of reading the kernel's types.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum BtfError {
    /// The file is missing or unreadable.
    #[error("cannot read {path}: {source} (the kernel must be built with CONFIG_DEBUG_INFO_BTF)", path = .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It is not BTF.
    #[error("damaged BTF at byte {offset}")]
    Damaged { offset: usize },
    /// This kernel has no such type or field.
    #[error("this kernel has no {name}")]
    Missing { name: String },
}

/// The parsed types; borrows the file's bytes.
pub struct Btf {
    data: Vec<u8>,
    types: Vec<usize>,
    strings: usize,
    by_name: HashMap<Vec<u8>, Vec<u32>>,
}

impl Btf {
    /// Reads the running kernel's types.
    pub fn from_kernel() -> Result<Self, BtfError> {
        Self::from_file(Path::new(VMLINUX))
    }

    /// Reads a BTF file.
    pub fn from_file(path: &Path) -> Result<Self, BtfError> {
        let data = std::fs::read(path).map_err(|source| BtfError::Read { path: path.to_owned(), source })?;
        Self::parse(data)
    }

    /// Parses BTF bytes; any bytes give a table or an error.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let mut btf = Self { data, types: vec![0], strings: 0, by_name: HashMap::new() };
        if btf.u16(0)? != MAGIC {
            return Err(BtfError::Damaged { offset: 0 });
        }
        let header = btf.u32(4)? as usize;
        let types = header + btf.u32(8)? as usize;
        let end = types + btf.u32(12)? as usize;
        btf.strings = header + btf.u32(16)? as usize;
        let mut at = types;
        while at < end {
            let id = u32::try_from(btf.types.len()).unwrap_or(u32::MAX);
            btf.types.push(at);
            let name = btf.name(btf.u32(at)?)?.to_vec();
            if !name.is_empty() {
                btf.by_name.entry(name).or_default().push(id);
            }
            at += btf.length(at)?;
        }
        Ok(btf)
    }

    fn u16(&self, offset: usize) -> Result<u16, BtfError> {
        let bytes = self.data.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(BtfError::Damaged { offset })?;
        Ok(u16::from_ne_bytes(*bytes))
    }

    fn u32(&self, offset: usize) -> Result<u32, BtfError> {
        let bytes = self.data.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(BtfError::Damaged { offset })?;
        Ok(u32::from_ne_bytes(*bytes))
    }

    fn name(&self, offset: u32) -> Result<&[u8], BtfError> {
        let offset = self.strings + offset as usize;
        let rest = self.data.get(offset..).ok_or(BtfError::Damaged { offset })?;
        let end = rest.iter().position(|&byte| byte == 0).ok_or(BtfError::Damaged { offset })?;
        Ok(&rest[..end])
    }

    fn kind(&self, at: usize) -> Result<(u32, u32, bool), BtfError> {
        let info = self.u32(at + 4)?;
        Ok((info >> 24 & 0x1f, info & 0xffff, info >> 31 != 0))
    }

    /// Bytes of a type's record.
    fn length(&self, at: usize) -> Result<usize, BtfError> {
        let (kind, count, _) = self.kind(at)?;
        let count = count as usize;
        Ok(12
            + match kind {
                1 | KIND_VAR | KIND_DECL_TAG => 4,
                KIND_ARRAY => 12,
                KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
                KIND_ENUM | KIND_FUNC_PROTO => count * 8,
                _ => 0,
            })
    }

    fn find(&self, name: &str, wanted: &[u32]) -> Option<usize> {
        let ids = self.by_name.get(name.as_bytes())?;
        ids.iter().map(|&id| self.types[id as usize]).find(|&at| {
            self.kind(at).is_ok_and(|(kind, count, _)| wanted.contains(&kind) && (count > 0 || kind == KIND_TYPEDEF))
        })
    }

    /// Follows typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        // Chains are short; the bound ends loops in damaged data.
        for _ in 0..32 {
            let at = *self.types.get(id as usize)?;
            match self.kind(at).ok()?.0 {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = self.u32(at + 8).ok()?;
                }
                _ => return Some(at),
            }
        }
        None
    }

    /// Byte offset of a field. Dots in `path` descend into nested structs; anonymous ones are searched.
    pub fn offset(&self, structure: &str, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing { name: format!("{structure}.{path}") };
        let mut at = self.find(structure, &[KIND_STRUCT]).ok_or_else(missing)?;
        let mut bits = 0;
        for part in path.split('.') {
            let (offset, id) = self.member(at, part.as_bytes(), 0).ok_or_else(missing)?;
            bits += offset;
            at = self.resolve(id).ok_or_else(missing)?;
        }
        Ok(bits / 8)
    }

    /// Offset in bits and type of a member.
    fn member(&self, at: usize, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let (kind, count, bitfields) = self.kind(at).ok()?;
        if depth > 8 || !matches!(kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for index in 0..count as usize {
            let member = at + 12 + index * 12;
            let (id, offset) = (self.u32(member + 4).ok()?, self.u32(member + 8).ok()?);
            let offset = if bitfields { offset & 0x00ff_ffff } else { offset };
            let own = self.name(self.u32(member).ok()?).ok()?;
            if own == name {
                return Some((offset, id));
            }
            if own.is_empty()
                && let Some((inner, id)) = self.resolve(id).and_then(|inner| self.member(inner, name, depth + 1))
            {
                return Some((offset + inner, id));
            }
        }
        None
    }

    /// Names and values of an enum, in order.
    pub fn enumeration(&self, name: &str) -> Result<Vec<(String, u32)>, BtfError> {
        let at = self.find(name, &[KIND_ENUM]).ok_or_else(|| BtfError::Missing { name: format!("enum {name}") })?;
        let (_, count, _) = self.kind(at)?;
        (0..count as usize)
            .map(|index| {
                let entry = at + 12 + index * 8;
                let name = String::from_utf8_lossy(self.name(self.u32(entry)?)?).into_owned();
                Ok((name, self.u32(entry + 4)?))
            })
            .collect()
    }

    /// The number of arguments that a tracepoint passes to a program.
    pub fn tracepoint_arguments(&self, name: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing { name: format!("tracepoint {name}") };
        let at = self.find(&format!("btf_trace_{name}"), &[KIND_TYPEDEF]).ok_or_else(missing)?;
        let pointer = self.resolve(self.u32(at + 8)?).ok_or_else(missing)?;
        if self.kind(pointer)?.0 != KIND_PTR {
            return Err(missing());
        }
        let function = self.resolve(self.u32(pointer + 8)?).ok_or_else(missing)?;
        // The first argument is the tracepoint's own data.
        Ok(self.kind(function)?.1.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Btf, BtfError, VMLINUX};
    use std::path::Path;

    #[test]
    fn running_kernel_has_expected_types() {
        if !Path::new(VMLINUX).exists() {
            return;
        }
        let btf = Btf::from_kernel().expect("BTF");
        assert_eq!(btf.offset("sk_buff", "next").expect("sk_buff.next"), 0);
        assert!(btf.offset("sk_buff", "mac_header").expect("nested") > 8);
        assert!(btf.offset("sock", "__sk_common.skc_net.net").expect("path") > 0);
        let reasons = btf.enumeration("skb_drop_reason").expect("enum");
        assert!(reasons.iter().any(|(name, _)| name == "SKB_DROP_REASON_NETFILTER_DROP"));
        assert!((3..=4).contains(&btf.tracepoint_arguments("kfree_skb").expect("tracepoint")));
        assert!(
            matches!(btf.offset("sk_buff", "nonsense"), Err(BtfError::Missing { name }) if name == "sk_buff.nonsense")
        );
    }

    #[test]
    fn damaged_bytes_are_errors() {
        for length in 0..40 {
            let mut data = vec![0; length];
            if length >= 2 {
                data[..2].copy_from_slice(&0xeb9f_u16.to_ne_bytes());
            }
            let result = Btf::parse(data);
            assert!(result.is_err() || length >= 20, "{length}");
        }
    }
}
