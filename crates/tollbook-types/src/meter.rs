//! Meters: the kinds of quantity that a call can be billed for, disjoint from one another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which part of a bill a meter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Counts into `input_tokens` and `input_cost_usd`.
    Input,
    /// Counts into `output_tokens` and `output_cost_usd`.
    Output,
    /// Not tokens of the conversation: fees. Counts into `other_cost_usd`.
    Other,
}

macro_rules! meters {
    ($($variant:ident $name:literal $side:ident $parent:expr;)*) => {
        /// One kind of quantity. Meters are disjoint: a token stands in exactly one of them.
        ///
        /// The declaration order is the order of cost lines and the stable code used in storage:
        /// add at the end only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Meter {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)*
        }

        impl Meter {
            /// Every meter, in declaration order.
            pub const ALL: &'static [Meter] = &[$(Meter::$variant,)*];

            /// The public name, as in `"meters": {"cache_read": 12}`.
            pub const fn name(self) -> &'static str {
                match self { $(Meter::$variant => $name,)* }
            }

            /// The part of the bill it belongs to.
            pub const fn side(self) -> Side {
                match self { $(Meter::$variant => Side::$side,)* }
            }

            /// The meter whose rate applies when a price has none for this one.
            pub const fn parent(self) -> Option<Meter> {
                match self { $(Meter::$variant => $parent,)* }
            }
        }
    };
}

meters! {
    Input "input" Input None;
    CacheRead "cache_read" Input Some(Meter::Input);
    CacheWrite "cache_write" Input Some(Meter::Input);
    CacheWrite5m "cache_write_5m" Input Some(Meter::CacheWrite);
    CacheWrite1h "cache_write_1h" Input Some(Meter::CacheWrite);
    InputAudio "input_audio" Input Some(Meter::Input);
    CacheReadAudio "cache_read_audio" Input Some(Meter::CacheRead);
    InputImage "input_image" Input Some(Meter::Input);
    CacheReadImage "cache_read_image" Input Some(Meter::CacheRead);
    InputVideo "input_video" Input Some(Meter::Input);
    CacheReadVideo "cache_read_video" Input Some(Meter::CacheRead);
    ToolPrompt "tool_prompt" Input Some(Meter::Input);
    Output "output" Output None;
    Reasoning "reasoning" Output Some(Meter::Output);
    OutputAudio "output_audio" Output Some(Meter::Output);
    OutputImage "output_image" Output Some(Meter::Output);
    OutputVideo "output_video" Output Some(Meter::Output);
    Citation "citation" Other None;
    WebSearch "web_search" Other None;
    FileSearch "file_search" Other None;
    CodeSession "code_session" Other None;
    MapsGrounding "maps_grounding" Other None;
    RerankSearch "rerank_search" Other None;
    Images "images" Other None;
    AudioMs "audio_ms" Other None;
    VideoMs "video_ms" Other None;
    Characters "characters" Other None;
    Pages "pages" Other None;
    Requests "requests" Other None;
}

impl Meter {
    /// The stable code used in storage.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meter with this storage code.
    pub fn from_code(code: u8) -> Option<Meter> {
        Meter::ALL.get(usize::from(code)).copied()
    }

    /// Whether the quantity is a count of conversation tokens.
    pub const fn is_token(self) -> bool {
        !matches!(self.side(), Side::Other)
    }

    /// Whether the meter is one of the cache-write kinds.
    pub const fn is_cache_write(self) -> bool {
        matches!(self, Meter::CacheWrite | Meter::CacheWrite5m | Meter::CacheWrite1h)
    }

    /// Whether the meter is one of the cache-read kinds.
    pub const fn is_cache_read(self) -> bool {
        matches!(
            self,
            Meter::CacheRead | Meter::CacheReadAudio | Meter::CacheReadImage | Meter::CacheReadVideo
        )
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Meter {
    type Err = ();

    fn from_str(name: &str) -> Result<Meter, ()> {
        Meter::ALL.iter().copied().find(|meter| meter.name() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_codes_and_parents_are_sound() {
        for meter in Meter::ALL {
            assert_eq!(meter.name().parse(), Ok(*meter));
            assert_eq!(Meter::from_code(meter.code()), Some(*meter));
            let mut steps = 0;
            let mut at = *meter;
            while let Some(parent) = at.parent() {
                assert_eq!(parent.side(), meter.side(), "{meter}: a parent stays on its side of the bill");
                at = parent;
                steps += 1;
                assert!(steps < 4, "{meter}: the parent chain ends");
            }
        }
        assert_eq!(Meter::from_code(200), None);
    }
}
