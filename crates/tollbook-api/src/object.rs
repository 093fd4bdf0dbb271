//! A request's body that is one small object: its members are taken out one by one, and everything that
//! is wrong with them is told at once. It must never know what the members are for.

use crate::code::Code;
use crate::problem::{Fault, Problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tollbook_types::{Timestamp, parse_instant};
use tollbook_usage::import;

/// The members of an object, taken out one by one.
pub struct Object {
    members: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Object {
    /// The object that a body is.
    pub fn read(text: &[u8]) -> Result<Object, Problem> {
        let value = tollbook_types::json::parse(text)
            .map_err(|error| Problem::of_input(vec![import::Problem::of_json(&error, text)]))?;
        let Value::Object(members) = value else {
            return Err(Problem::new(Code::JsonInvalid, "the body is an object"));
        };
        Ok(Object { members, faults: Vec::new() })
    }

    /// Notes what is wrong with a member.
    pub fn fault(&mut self, name: &str, code: Code, detail: &str) {
        let pointer = Some(format!("/{name}"));
        self.faults.push(Fault { pointer, code, detail: detail.to_owned() });
    }

    /// Notes that a member has to be there, unless something else is wrong with it.
    pub fn missing(&mut self, name: &str) {
        let pointer = format!("/{name}");
        if self.faults.iter().all(|fault| fault.pointer.as_deref() != Some(pointer.as_str())) {
            self.fault(name, Code::FieldMissing, "has to be there");
        }
    }

    /// Whether a member is there, and be it null.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Takes out a text; absent and null are the same.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.fault(name, Code::FieldInvalid, "must be a text");
                None
            }
        }
    }

    /// Takes out whatever a member is; absent and null are the same.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Takes out a whole number that is not below 0.
    pub fn whole(&mut self, name: &str) -> Option<u64> {
        match self.members.remove(name)? {
            Value::Null => None,
            Value::Number(number) if number.is_u64() => number.as_u64(),
            _ => {
                self.fault(name, Code::FieldInvalid, "must be a whole number, not below 0");
                None
            }
        }
    }

    /// Takes out a yes or no; absent and null are no.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.members.remove(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.fault(name, Code::FieldInvalid, "must be true or false");
                false
            }
        }
    }

    /// Takes out an object of texts; absent and null are an empty one.
    pub fn texts(&mut self, name: &str) -> BTreeMap<String, String> {
        let told = match self.members.remove(name) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(told)) => told,
            Some(_) => {
                self.fault(name, Code::FieldInvalid, "must be an object of texts");
                Map::new()
            }
        };
        let mut texts = BTreeMap::new();
        for (key, value) in told {
            match value {
                Value::String(text) => drop(texts.insert(key, text)),
                _ => self.fault(name, Code::FieldInvalid, "must be an object of texts"),
            }
        }
        texts
    }

    /// Takes out an instant that lies ahead.
    pub fn instant(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let text = self.text(name)?;
        match parse_instant(&text) {
            Ok(at) if at > now => Some(at),
            Ok(_) => {
                self.fault(name, Code::FieldInvalid, "must lie ahead");
                None
            }
            Err(detail) => {
                self.fault(name, Code::TimestampInvalid, &detail);
                None
            }
        }
    }

    /// Everything that is wrong, at once: members that nobody took out, too.
    pub fn finish(mut self) -> Result<(), Problem> {
        let unknown: Vec<String> = self.members.keys().map(|name| name.chars().take(64).collect()).collect();
        for name in unknown {
            self.fault(&name, Code::UnknownMember, "is not known");
        }
        Problem::of_faults(self.faults).map_or(Ok(()), Err)
    }
}
