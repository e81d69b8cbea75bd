//! Reads a CloudFormation template: its intrinsic functions, under given parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A template and the values of its parameters.
pub(crate) struct Template {
    pub(crate) document: Value,
    values: BTreeMap<String, Value>,
}

impl Template {
    /// Reads a file of `infra`. Parameters that are not given have their defaults; `Ref` of a
    /// resource is its logical name.
    pub(crate) fn read(file: &str, given: &[(&str, Value)]) -> Self {
        let path = format!("{}/../infra/{file}", env!("CARGO_MANIFEST_DIR"));
        let document: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut values = BTreeMap::new();
        for (name, parameter) in document["Parameters"].as_object().unwrap() {
            let given = given.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let value = given.or_else(|| parameter.get("Default").cloned());
            let value = value.unwrap_or_else(|| panic!("{name} has no default"));
            values.insert(name.clone(), list_or_text(parameter, value));
        }
        for (name, _) in given {
            assert!(document["Parameters"].get(name).is_some(), "{file} has no parameter {name}");
        }
        Self { document, values }
    }

    /// Adds a pseudo parameter, such as `AWS::Region`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), Value::from(value));
        self
    }

    /// A part of the template as CloudFormation would hand it to a service; none for `AWS::NoValue`.
    pub(crate) fn evaluate(&self, part: &Value) -> Option<Value> {
        match part {
            Value::Object(map) if map.len() == 1 => {
                let (name, argument) = map.iter().next().unwrap();
                self.function(name, argument)
                    .unwrap_or_else(|| Some(Value::Object(self.object(map))))
            }
            Value::Object(map) => Some(Value::Object(self.object(map))),
            Value::Array(items) => {
                Some(items.iter().filter_map(|item| self.evaluate(item)).collect())
            }
            plain => Some(plain.clone()),
        }
    }

    fn object(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().filter_map(|(key, value)| Some((key.clone(), self.evaluate(value)?))).collect()
    }

    /// The result of an intrinsic function; none when it is not one.
    fn function(&self, name: &str, argument: &Value) -> Option<Option<Value>> {
        let text = |value: &Value| self.evaluate(value).unwrap().as_str().unwrap().to_owned();
        let part = |at: usize| argument.get(at).unwrap_or_else(|| panic!("{name}: {argument}"));
        let result = match name {
            "Ref" if argument == "AWS::NoValue" => return Some(None),
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::GetAtt" => {
                Value::from(format!("{}.{}", part(0).as_str().unwrap(), part(1).as_str().unwrap()))
            }
            "Fn::Sub" => Value::from(self.substitute(argument.as_str().unwrap())),
            "Fn::Join" => {
                let list = self.evaluate(part(1)).unwrap();
                let texts: Vec<&str> =
                    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
                Value::from(texts.join(&text(part(0))))
            }
            "Fn::Split" => text(part(1)).split(&text(part(0))).map(Value::from).collect(),
            "Fn::If" => {
                let holds = self.holds(&self.document["Conditions"][part(0).as_str().unwrap()]);
                return Some(self.evaluate(part(if holds { 1 } else { 2 })));
            }
            other => {
                assert!(!other.starts_with("Fn::"), "{other} is not read here");
                return None;
            }
        };
        Some(Some(result))
    }

    fn reference(&self, name: &str) -> Value {
        if let Some(value) = self.values.get(name) {
            return value.clone();
        }
        assert!(self.document["Resources"].get(name).is_some(), "nothing is called {name}");
        Value::from(name)
    }

    fn substitute(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            let value = match name.split_once('.') {
                Some(_) => name.to_owned(),
                None => self.reference(name).as_str().unwrap().to_owned(),
            };
            result += &value;
            result += rest;
        }
        result
    }

    fn holds(&self, condition: &Value) -> bool {
        let (name, argument) = condition.as_object().unwrap().iter().next().unwrap();
        match name.as_str() {
            "Fn::Not" => !self.holds(&argument[0]),
            "Fn::And" => argument.as_array().unwrap().iter().all(|one| self.holds(one)),
            "Condition" => self.holds(&self.document["Conditions"][argument.as_str().unwrap()]),
            "Fn::Equals" => self.evaluate(&argument[0]) == self.evaluate(&argument[1]),
            other => panic!("{other} is not read here"),
        }
    }
}

fn list_or_text(parameter: &Value, value: Value) -> Value {
    match &value {
        Value::String(text) if parameter["Type"] == "CommaDelimitedList" => {
            text.split(',').map(|item| Value::from(item.trim())).collect()
        }
        Value::Number(number) => Value::from(number.to_string()),
        _ => value,
    }
}
