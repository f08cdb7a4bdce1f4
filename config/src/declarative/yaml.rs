//! Reads YAML 1.2 into nodes. Depth and size are bounded: aliases and variables make a small file large.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::node::{Node, NodeValue, plain};
use super::report::Report;
use super::substitution::{Environment, substitute};

/// Lists and mappings within each other; the schema has fewer than twenty.
const MAX_DEPTH: usize = 64;

/// Bytes of all texts once aliases and variables are replaced, and [`NODE_BYTES`] of each node.
const MAX_TREE_BYTES: usize = 1 << 20;

/// About the memory of a node without its text.
const NODE_BYTES: usize = 64;

/// Parses the one document of a file, with the variables that its scalars refer to. Invalid references are reported.
///
/// # Errors
/// The line and the fault.
pub(super) fn parse(text: &str, environment: &mut Environment<'_>, report: &mut Report) -> Result<Node, String> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let (open, anchors) = (Vec::new(), BTreeMap::new());
    let mut builder = Builder { environment, report, open, anchors, root: None, bytes_left: MAX_TREE_BYTES };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            format!("line {}, column {}: {}", marker.line(), marker.col() + 1, error.info())
        })?;
        let line = span.start.line();
        builder.event(event, line).map_err(|wrong| format!("line {line}: {wrong}"))?;
    }
    builder.root.ok_or_else(|| "it is empty".to_owned())
}

/// The nodes so far.
struct Builder<'b, 'e> {
    environment: &'b mut Environment<'e>,
    report: &'b mut Report,
    /// The lists and mappings that are not complete, the outermost first.
    open: Vec<Open>,
    /// Complete nodes with an anchor.
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    /// Bytes that are left.
    bytes_left: usize,
}

/// A list or mapping that is not complete.
struct Open {
    line: usize,
    /// The parser's number of its anchor; 0 without one.
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// Entries, and the name of the next one with its line.
    Map(BTreeMap<String, Node>, Option<(String, usize)>),
}

impl Builder<'_, '_> {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err("it has more than one document".to_owned()),
            Event::Scalar(text, style, anchor, tag) => match self.open.last_mut().map(|open| &mut open.content) {
                Some(Content::Map(entries, name @ None)) => {
                    if entries.contains_key(&*text) {
                        return Err(format!("the mapping has the name {text:?} twice"));
                    }
                    let bytes = text.len();
                    *name = Some((text.into_owned(), line));
                    self.charge(bytes)
                }
                _ => {
                    let is_text = is_text(style, tag.as_deref())?;
                    self.scalar(&text, is_text, anchor, line)
                }
            },
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq")?;
                self.open(Open { line, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map")?;
                self.open(Open { line, anchor, content: Content::Map(BTreeMap::new(), None) })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, is_text: bool, anchor: usize, line: usize) -> Result<(), String> {
        let (text, has_variable) = match substitute(text, self.environment, self.bytes_left) {
            Ok(substituted) => (substituted.text, substituted.has_variable),
            Err(invalid) => {
                let path = self.path();
                self.report.invalid_reference(path, line, invalid);
                return self.add(Node { line, value: NodeValue::Null, has_variable: true }, anchor);
            }
        };
        // By the specification, a node has its type once its variables are replaced.
        let value = if is_text { NodeValue::Text(text) } else { plain(&text) };
        self.add(Node { line, value, has_variable }, anchor)
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        check_depth(self.open.len() + 1)?;
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { line, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => NodeValue::List(items),
            Content::Map(entries, _) => NodeValue::Map(entries),
        };
        // Its entries are charged already.
        self.place(Node { line, value, has_variable: false }, anchor, NODE_BYTES)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err("an alias refers to the node that contains it".to_owned());
        };
        check_depth(self.open.len() + depth(&node))?;
        self.add(node, 0)
    }

    /// Adds a complete node to the innermost open one.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        let bytes = size(&node);
        self.place(node, anchor, bytes)
    }

    fn place(&mut self, node: Node, anchor: usize, bytes: usize) -> Result<(), String> {
        self.charge(bytes)?;
        if anchor != 0 {
            self.charge(size(&node))?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, name)) => match name.take() {
                // The line of the name: an empty value has that of what follows.
                Some((name, line)) => drop(entries.insert(name, Node { line, ..node })),
                None => return Err("the name of a node is no text".to_owned()),
            },
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), String> {
        let bytes_left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = bytes_left.ok_or_else(|| "with its aliases and variables it is too large".to_owned())?;
        Ok(())
    }

    /// The path of the next node.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.content {
                Content::List(items) => path.push_str(&format!("[{}]", items.len())),
                Content::Map(_, Some((name, _))) if path.is_empty() => path.push_str(name),
                Content::Map(_, Some((name, _))) => path.push_str(&format!(".{name}")),
                Content::Map(_, None) => {}
            }
        }
        path
    }
}

/// Returns whether a scalar is a text, whatever it looks like.
fn is_text(style: ScalarStyle, tag: Option<&Tag>) -> Result<bool, String> {
    match tag.map(Tag::core_suffix) {
        None => Ok(style != ScalarStyle::Plain),
        Some(Some("str")) => Ok(true),
        Some(Some("null" | "bool" | "int" | "float")) => Ok(false),
        Some(_) => Err(unknown_tag()),
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    if tag.is_none_or(|tag| tag.core_suffix() == Some(expected)) { Ok(()) } else { Err(unknown_tag()) }
}

fn unknown_tag() -> String {
    "a tag is none of YAML's core schema".to_owned()
}

fn check_depth(depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH { Err(format!("it has more than {MAX_DEPTH} levels")) } else { Ok(()) }
}

/// Bytes of a node and what is below it.
fn size(node: &Node) -> usize {
    let content: usize = match &node.value {
        NodeValue::Text(text) => text.len(),
        NodeValue::List(items) => items.iter().map(size).sum(),
        NodeValue::Map(entries) => entries.iter().map(|(name, node)| name.len() + size(node)).sum(),
        _ => 0,
    };
    NODE_BYTES + content
}

/// The lists and mappings within each other, from a node on.
fn depth(node: &Node) -> usize {
    match &node.value {
        NodeValue::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeValue::Map(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fmt::Write as _;
    use std::path::Path;

    use super::super::node::{Node, NodeValue};
    use super::super::report::Report;
    use super::super::substitution::Environment;
    use super::parse;

    /// Parses a text with variables; returns the problems instead if there are any.
    fn parsed(text: &str, variables: &[(&str, &str)]) -> Result<Node, String> {
        let variables: Vec<(OsString, OsString)> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut report = Report::new(Path::new("f"));
        let node = parse(text, &mut Environment::new(&variables), &mut report)?;
        match report.problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(node),
        }
    }

    /// The value of the node `key`.
    fn value(text: &str) -> NodeValue {
        let variables = [
            ("STRING", "value"),
            ("BOOL", "true"),
            ("INT", "1"),
            ("FLOAT", "1.1"),
            ("HEX", "0xdeadbeef"),
            ("MAP", "value\nkey:value"),
            ("LIST", "[a, b]"),
        ];
        let node = parsed(text, &variables).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
        match node.value {
            NodeValue::Map(mut entries) => entries.remove("key").expect("the key").value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn types_follow_substitution() {
        let text = |text: &str| NodeValue::Text(text.to_owned());
        for (yaml, expected) in [
            ("key: ${STRING}", text("value")),
            ("key: ${BOOL}", NodeValue::Bool(true)),
            ("key: ${INT}", NodeValue::Integer(1)),
            ("key: ${FLOAT}", NodeValue::Float(1.1)),
            ("key: ${HEX}", NodeValue::Integer(0xdead_beef)),
            ("key: \"${BOOL}\"", text("true")),
            ("key: '${INT}'", text("1")),
            ("key: !!str ${INT}", text("1")),
            ("key: !!int \"${INT}\"", NodeValue::Integer(1)),
            ("key: |-\n  ${INT}", text("1")),
            ("key: ${MAP}", text("value\nkey:value")),
            ("key: ${LIST}", text("[a, b]")),
            ("key: foo ${STRING} ${FLOAT}", text("foo value 1.1")),
            ("key: ${UNSET}", NodeValue::Null),
            ("key: \"${UNSET}\"", text("")),
            ("key: ${UNSET:-2}", NodeValue::Integer(2)),
            ("key:", NodeValue::Null),
            ("key: # a comment", NodeValue::Null),
            ("key: $${INT}", text("${INT}")),
            ("a: &a ${INT}\nkey: *a", NodeValue::Integer(1)),
        ] {
            assert_eq!(value(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn line_is_that_of_name() {
        let node = parsed("a:\n\nb: &b\n  c: 1\nd:\n  *b\ne:\n- f", &[]).expect("YAML");
        let NodeValue::Map(entries) = node.value else { panic!("a mapping") };
        let lines: Vec<_> = entries.iter().map(|(name, node)| (name.as_str(), node.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("d", 5), ("e", 7)]);
    }

    #[test]
    fn names_are_not_substituted() {
        let node = parsed("${STRING}: value", &[("STRING", "key")]).expect("YAML");
        assert!(matches!(node.value, NodeValue::Map(entries) if entries.contains_key("${STRING}")));
    }

    #[test]
    fn invalid_files_are_rejected() {
        for (text, wrong) in [
            ("", "it is empty"),
            ("# nothing", "it is empty"),
            ("a: [1", "line "),
            ("a: 1\na: 2", "line 2: the mapping has the name \"a\" twice"),
            ("a: 1\n---\nb: 2", "line 2: it has more than one document"),
            ("[a]: 1", "line 1: the name of a node is no text"),
            ("a: &a [*a]", "line 1: an alias refers to the node that contains it"),
            ("a: *b", "line 1, column "),
            ("a: !secret b", "line 1: a tag is none of YAML's core schema"),
            ("a: !!set {b}", "line 1: a tag is none of YAML's core schema"),
            ("a:\n- b\n- c: ${1}", "a[1].c (from f:3): it has an invalid reference to a variable; write ${NAME}"),
        ] {
            let found = parsed(text, &[]).expect_err(text);
            assert!(found.starts_with(wrong), "{text}: {found}");
        }
    }

    #[test]
    fn bombs_are_rejected() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            writeln!(laughs, "a{level}: &a{level} [{aliases}]").expect("a text");
        }
        let mut chain = "a0: &a0 [[[[[[[[x]]]]]]]]\n".to_owned();
        for level in 1..10 {
            writeln!(chain, "a{level}: &a{level} [[[[[[[[*a{}]]]]]]]]", level - 1).expect("a text");
        }
        let large = "x".repeat(10_000);
        for (text, wrong) in [
            (laughs, "with its aliases and variables it is too large"),
            (chain, "it has more than 64 levels"),
            (format!("a: {}{}", "[".repeat(65), "]".repeat(65)), "it has more than 64 levels"),
            (format!("{}x", "- ".repeat(100)), "it has more than 64 levels"),
            (format!("a: [{}]", "1,".repeat(20_000)), "with its aliases and variables it is too large"),
            (format!("a: &a {large}\nb: [{}]", "*a,".repeat(200)), "with its aliases and variables it is too large"),
            (format!("a: \"{}\"", "${LARGE}".repeat(200)), "with the values of its variables it is too long"),
            (format!("a: [{}]", "\"${LARGE}\",".repeat(200)), "too l"),
        ] {
            let found = parsed(&text, &[("LARGE", large.as_str())]).expect_err("a bomb");
            assert!(found.contains(wrong), "{found}");
        }
        let nested = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parsed(&nested, &[]).is_ok());
    }
}
