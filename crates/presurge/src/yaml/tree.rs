//! From the events of the parser to a bounded tree.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::scalar::{plain, tagged};
use super::{Data, Field, Mark, Node};

/// The most values of one file, after aliases are expanded.
pub const MAX_NODES: usize = 1_000_000;

/// The deepest nesting of lists and objects.
pub const MAX_DEPTH: usize = 64;

/// A text that is no YAML, or none that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where.
    pub mark: Mark,
    /// What, and what to do.
    pub message: String,
}

/// Every document of a text, in order; an empty document is left out.
pub fn documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    let mut documents = Vec::new();
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            let mark = Mark { line, column, width: 1 };
            SyntaxError { mark, message: in_words(error.info(), text, line) }
        })?;
        if let Event::DocumentEnd = event {
            documents.extend(builder.finish());
        } else {
            builder.take(event, span)?;
        }
    }
    Ok(documents)
}

/// What the parser says, with the usual cause.
fn in_words(info: &str, text: &str, line: usize) -> String {
    let around = text.lines().skip(line.saturating_sub(2)).take(2);
    let indent = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    if around.into_iter().any(indent) {
        return "a tab indents this line; YAML is indented with spaces".into();
    }
    format!("this is not valid YAML: {info}")
}

/// An open list or object.
enum Open {
    List { mark: Mark, anchor: usize, items: Vec<Node> },
    Object { mark: Mark, anchor: usize, fields: Vec<Field>, seen: HashMap<String, Mark>, key: Key },
}

/// Which half of a field comes next.
enum Key {
    Expected,
    Read(String, Mark),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    done: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    /// The document that was built, and a fresh start for the next one.
    fn finish(&mut self) -> Option<Node> {
        let nodes = self.nodes;
        let done = std::mem::replace(self, Self { nodes, ..Self::default() }).done;
        done.filter(|node| node.data != Data::Scalar(Value::Null))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let mark = mark(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_ref())
                    .map_err(|message| SyntaxError { mark, message })?;
                let key = if style == ScalarStyle::Plain {
                    text.into_owned()
                } else {
                    value.as_str().unwrap_or_default().to_owned()
                };
                self.count(1, mark)?;
                if let Some(Open::Object {
                    key: expected @ Key::Expected, fields: _, seen, ..
                }) = self.open.last_mut()
                {
                    if let Some(first) = seen.insert(key.clone(), mark) {
                        let message = format!(
                            "the field {key:?} is there twice, first in line {}; keep one",
                            first.line
                        );
                        return Err(SyntaxError { mark, message });
                    }
                    *expected = Key::Read(key, mark);
                    return Ok(());
                }
                self.put(Node { mark, data: Data::Scalar(value) }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.enter(mark, tag.as_ref(), "seq")?;
                let mark = Mark { width: 1, ..mark };
                self.open.push(Open::List { mark, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                self.enter(mark, tag.as_ref(), "map")?;
                let mark = Mark { width: 1, ..mark };
                let (fields, seen, key) = (Vec::new(), HashMap::new(), Key::Expected);
                self.open.push(Open::Object { mark, anchor, fields, seen, key });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, mark),
            _ => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<(), SyntaxError> {
        let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias cannot stand inside the value that it repeats".to_owned();
            return Err(SyntaxError { mark, message });
        };
        self.count(size, mark)?;
        self.put(Node { mark, ..node }, 0, size)
    }

    fn enter(
        &mut self,
        mark: Mark,
        tag: Option<&Cow<'_, Tag>>,
        core: &str,
    ) -> Result<(), SyntaxError> {
        self.count(1, mark)?;
        if let Some(Open::Object { key: Key::Expected, .. }) = self.open.last() {
            let message = "a field needs a plain name, not a list or an object".to_owned();
            return Err(SyntaxError { mark, message });
        }
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == core)
        {
            let message = format!("the tag {tag} is not supported here; leave it out");
            return Err(SyntaxError { mark, message });
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("this is nested more than {MAX_DEPTH} levels deep");
            return Err(SyntaxError { mark, message });
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), SyntaxError> {
        let (node, anchor) = match self.open.pop() {
            Some(Open::List { mark, anchor, items }) => {
                (Node { mark, data: Data::List(items) }, anchor)
            }
            Some(Open::Object { mark, anchor, fields, .. }) => {
                (Node { mark, data: Data::Object(fields) }, anchor)
            }
            None => return Ok(()),
        };
        let size = if anchor > 0 { size(&node) } else { 0 };
        self.put(node, anchor, size)
    }

    /// Puts a finished value where it belongs. `size` is only needed with an anchor.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            self.count(size, node.mark)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Object { fields, key, .. }) => {
                let Key::Read(name, mark) = std::mem::replace(key, Key::Expected) else {
                    let message = "a field needs a plain name, not an alias".to_owned();
                    return Err(SyntaxError { mark: node.mark, message });
                };
                fields.push(Field { key: name, mark, value: node });
            }
            None => self.done = Some(node),
        }
        Ok(())
    }

    fn count(&mut self, more: usize, mark: Mark) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!(
            "there are more than {MAX_NODES} values up to here, repeated ones counted; split the \
             file or use fewer aliases"
        );
        Err(SyntaxError { mark, message })
    }
}

/// How many values a tree holds.
fn size(node: &Node) -> usize {
    match &node.data {
        Data::Scalar(_) => 1,
        Data::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Data::Object(fields) => 1 + fields.iter().map(|f| 1 + size(&f.value)).sum::<usize>(),
    }
}

fn mark(span: Span) -> Mark {
    let same_line = span.start.line() == span.end.line();
    let width = if same_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Mark { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Result<Value, String> {
    let value = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tagged(text, &tag.suffix),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => tagged(text, "str"),
        Some(tag) => return Err(format!("the tag {tag} is not supported here; leave it out")),
        None if style == ScalarStyle::Plain => plain(text),
        None => return Ok(Value::String(text.to_owned())),
    };
    value.map_err(|error| error.to_string())
}
