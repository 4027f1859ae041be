use serde_json::json;

use super::tree::SyntaxError;
use super::*;

fn one(text: &str) -> Node {
    let mut all = documents(text).unwrap();
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn error(text: &str) -> SyntaxError {
    documents(text).unwrap_err()
}

fn place(parts: &[&str]) -> Place {
    parts
        .iter()
        .map(|part| part.parse().map_or_else(|_| Part::Key((*part).to_owned()), Part::Index))
        .collect()
}

#[test]
fn values_and_places_are_kept() {
    let node = one("a:\n  - b: 1\n    c: \"x\"\n  - 2.5\nd: ~\n");
    assert_eq!(node.to_value(), json!({"a": [{"b": 1, "c": "x"}, 2.5], "d": null}));
    assert_eq!(node.find(&place(&["a", "0", "c"])), Mark { line: 3, column: 8, width: 3 });
    assert_eq!(node.find_key(&place(&["a", "0", "c"])), Mark { line: 3, column: 5, width: 1 });
    assert_eq!(node.find(&place(&["a"])), Mark { line: 1, column: 1, width: 1 });
    assert_eq!(node.find(&place(&["a", "1"])), Mark { line: 4, column: 5, width: 3 });
    // What is missing stands where its surroundings stand.
    assert_eq!(node.find(&place(&["a", "0", "zzz"])).line, 2);
}

#[test]
fn json_and_several_documents_are_read() {
    assert_eq!(one("{\"a\": [1, true, null]}").to_value(), json!({"a": [1, true, null]}));
    assert_eq!(documents("---\na: 1\n---\n---\nb: 2\n...\n").unwrap().len(), 2);
    assert_eq!(documents("").unwrap().len(), 0);
    assert_eq!(documents("# only a comment\n").unwrap().len(), 0);
    assert_eq!(one("\u{feff}a: 1").to_value(), json!({"a": 1}));
}

#[test]
fn anchors_are_expanded_and_bombs_are_refused() {
    let node = one("a: &x { b: 1 }\nc: *x\n");
    assert_eq!(node.to_value(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(error(&bomb).message.contains("more than 1000000 values"), "{}", error(&bomb));
    assert!(documents("a: &x [*x]").is_err());
    assert!(documents("a: *nobody").is_err());
}

#[test]
fn depth_is_bounded() {
    let deep = "[".repeat(100_000);
    assert!(documents(&deep).is_err());
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(error(&deep).message.contains("nested more than 64 levels"));
}

#[test]
fn what_would_be_guessed_is_refused() {
    let twice = error("a: 1\nb: 2\na: 3\n");
    assert_eq!((twice.mark.line, twice.mark.column), (3, 1));
    assert!(twice.message.contains("\"a\" is there twice, first in line 1"), "{twice}");
    assert!(error("a:\n\tb: 1\n").message.contains("a tab indents this line"));
    assert!(error("? [a]\n: 1\n").message.contains("plain name"));
    assert!(error("a: !secret x\n").message.contains("tag"));
    assert!(error("a: .nan\n").message.contains("not a finite number"));
    assert!(documents("a: [1\n").is_err());
    assert!(documents("a: 1\n b: 2\n").is_err());
    assert_eq!(one("a: !!str 6.12").to_value(), json!({"a": "6.12"}));
    assert_eq!(one("1: x").to_value(), json!({"1": "x"}));
}

mod anything {
    use proptest::prelude::*;

    use super::super::{Data, Node, documents};

    fn depth(node: &Node) -> usize {
        match &node.data {
            Data::Scalar(_) => 1,
            Data::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Data::Object(fields) => 1 + fields.iter().map(|f| depth(&f.value)).max().unwrap_or(0),
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[ \\t\\n\\-:\\[\\]{},&*!|>'\"#%@`?~a-c0-9.é]{0,120}") {
            for node in documents(&text).unwrap_or_default() {
                prop_assert!(depth(&node) <= super::super::tree::MAX_DEPTH + 1);
                // Whatever was read is a value.
                let _ = node.to_value();
            }
        }

        #[test]
        fn json_means_the_same_in_yaml(
            key in "[a-z]{1,8}", text in "\\PC{0,20}", number in any::<i64>(), flag: bool
        ) {
            let value = serde_json::json!({ key: [text, number, flag, null, {}] });
            let nodes = documents(&value.to_string()).unwrap();
            prop_assert_eq!(nodes[0].to_value(), value);
        }
    }
}
