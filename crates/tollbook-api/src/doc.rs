//! What a route says of itself: what it takes and gives, and what it refuses with. The OpenAPI document
//! is made of it. It must never know a particular route.

use crate::code::Code;
use crate::idempotency;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What routes are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
}

/// What a body is, in one media type.
#[derive(Clone, Debug)]
pub struct Content {
    pub(crate) media: &'static str,
    /// A JSON schema, perhaps a reference to one of `parts`.
    pub(crate) shape: Value,
    pub(crate) parts: BTreeMap<String, Value>,
}

impl Content {
    /// JSON of this shape.
    pub fn json<T: ToSchema>() -> Content {
        Content::of::<T>("application/json")
    }

    /// Something of this shape in another media type.
    pub fn of<T: ToSchema>(media: &'static str) -> Content {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        parts.push((T::name().into_owned(), T::schema()));
        // Schemas are plain data; writing them cannot fail.
        let value = |schema| serde_json::to_value(schema).unwrap_or_default();
        let parts = parts.into_iter().map(|(name, schema)| (name, value(schema))).collect();
        Content { media, shape: reference("schemas", &T::name()), parts }
    }

    /// Text.
    pub fn text(media: &'static str) -> Content {
        Content { media, shape: text(), parts: BTreeMap::new() }
    }

    /// Bytes, or what has no shape of its own here.
    pub fn any(media: &'static str) -> Content {
        Content { media, shape: json!({}), parts: BTreeMap::new() }
    }
}

/// One way in which a request goes well.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub status: u16,
    pub about: &'static str,
    pub contents: Vec<Content>,
}

/// What a route says of itself.
#[derive(Clone, Debug)]
pub struct Doc {
    pub(crate) tag: Tag,
    pub(crate) summary: &'static str,
    pub(crate) about: &'static str,
    /// As the document has them.
    pub(crate) parameters: Vec<Value>,
    pub(crate) takes: Vec<Content>,
    pub(crate) gives: Vec<Given>,
    pub(crate) refuses: Vec<Code>,
}

impl Doc {
    /// What it does, in a few words.
    pub fn new(tag: Tag, summary: &'static str) -> Doc {
        let (parameters, takes, gives) = (Vec::new(), Vec::new(), Vec::new());
        Doc { tag, summary, about: "", parameters, takes, gives, refuses: vec![Code::Internal] }
    }

    /// What else there is to know.
    #[must_use]
    pub fn about(mut self, about: &'static str) -> Doc {
        self.about = about;
        self
    }

    /// A parameter that stands in braces in the path.
    #[must_use]
    pub fn path(mut self, name: &str, about: &str) -> Doc {
        let shape = json!({"type": "string", "minLength": 1});
        self.parameters.push(parameter("path", name, about, shape));
        self
    }

    /// A parameter of the query; the shape is a JSON schema such as [`text`] gives.
    #[must_use]
    pub fn query(mut self, name: &str, about: &str, shape: Value) -> Doc {
        self.parameters.push(parameter("query", name, about, shape));
        self
    }

    /// A header beside those that every request may have.
    #[must_use]
    pub fn header(mut self, name: &str, about: &str) -> Doc {
        self.parameters.push(parameter("header", name, about, text()));
        self
    }

    /// It is not done again when the same comes with the same `idempotency-key`.
    #[must_use]
    pub fn once(self) -> Doc {
        let about = "A name of the caller's own: the same command with the same name within 24 hours is not done \
            again. The answer has `idempotent-replayed: true` then and shows the thing as it is now, without the \
            text of a key.";
        self.header(idempotency::HEADER, about).refuses(idempotency::CODES)
    }

    /// `KEY=VALUE` for any dimension.
    #[must_use]
    pub fn dimensions(mut self) -> Doc {
        let names = dimensions().into_keys().map(|name| reference("parameters", &name));
        self.parameters.extend(names);
        self
    }

    /// The body that has to come, in any of these media types.
    #[must_use]
    pub fn takes(mut self, contents: impl IntoIterator<Item = Content>) -> Doc {
        self.takes.extend(contents);
        self
    }

    /// An answer that is no problem, in any of these media types.
    #[must_use]
    pub fn gives(
        mut self,
        status: u16,
        about: &'static str,
        contents: impl IntoIterator<Item = Content>,
    ) -> Doc {
        self.gives.push(Given { status, about, contents: contents.into_iter().collect() });
        self
    }

    /// What it refuses with, beside what the gate in front of it does.
    #[must_use]
    pub fn refuses(mut self, codes: &[Code]) -> Doc {
        self.refuses.extend(codes);
        self
    }
}

/// A text.
pub fn text() -> Value {
    json!({"type": "string"})
}

/// An instant.
pub fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// One of these words.
pub fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// A whole number within bounds.
pub fn whole(from: u64, to: u64) -> Value {
    json!({"type": "integer", "minimum": from, "maximum": to})
}

/// A reference to a part of the document.
pub(crate) fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

fn parameter(place: &str, name: &str, about: &str, shape: Value) -> Value {
    json!({"in": place, "name": name, "description": about, "required": place == "path", "schema": shape})
}

/// The parameters that filter by a dimension, by their names in the document.
pub(crate) fn dimensions() -> BTreeMap<String, Value> {
    let several = json!({"type": "array", "items": {"type": "string"}, "maxItems": 100});
    let mut found = BTreeMap::new();
    for dimension in tollbook_store::Dimension::NAMED {
        let name = dimension.to_string();
        let about =
            format!("Only calls with this {name}; several values mean any of them, an empty one absent.");
        found.insert(name.clone(), parameter("query", &name, &about, several.clone()));
    }
    let about = "`tag.NAME=VALUE`: only calls with this tag. `KEY!=VALUE`, of any dimension: all but these.";
    let shape = json!({
        "type": "object",
        "propertyNames": {"pattern": "^(tag\\.[a-z]+|[a-z_]+!)$"},
        "additionalProperties": {"type": "string"},
    });
    let mut others = parameter("query", "filters", about, shape);
    others["style"] = json!("form");
    others["explode"] = json!(true);
    found.insert("filters".to_owned(), others);
    found
}
