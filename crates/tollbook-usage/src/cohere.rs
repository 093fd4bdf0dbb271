//! Cohere's usage: what is billed, not what was processed.

use crate::shape::{Field, Place, Rows, Shape};

/// `usage` (v2) and `meta` (v1, embed, rerank).
pub(crate) static BILLED: Shape = Shape {
    name: "cohere_billed",
    marks: &["billed_units"],
    rows: Rows::of(&[
        ("billed_units.input_tokens", Field::Input),
        ("billed_units.output_tokens", Field::Output),
        ("billed_units.search_units", Field::RerankSearch),
        ("billed_units.images", Field::Images),
        ("billed_units.image_tokens", Field::InputImage),
    ]),
    seconds: &[],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};
