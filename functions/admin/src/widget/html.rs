//! HTML and SVG from typed pieces. Text becomes HTML here and nowhere else, so that nothing that
//! somebody wrote into the ledger can become markup.

use std::fmt::{Display, Write};

use pod_identity_core::is_plain;

/// One element. Its name, its classes and the names of its attributes are the program's own;
/// everything else is escaped.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    name: &'static str,
    attributes: String,
    content: String,
}

impl Element {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, attributes: String::new(), content: String::new() }
    }

    pub(crate) fn class(self, class: &'static str) -> Self {
        self.set("class", class)
    }

    pub(crate) fn set(mut self, name: &'static str, value: impl Display) -> Self {
        // Writing into a string cannot fail.
        let _ = write!(self.attributes, " {name}=\"{}\"", escape(&value.to_string()));
        self
    }

    pub(crate) fn text(mut self, text: impl Display) -> Self {
        self.content += &escape(&text.to_string());
        self
    }

    pub(crate) fn with(mut self, child: Self) -> Self {
        self.content += &child.into_html();
        self
    }

    pub(crate) fn all(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::with)
    }

    /// Every element is closed, which HTML takes from all that this function makes, so that the
    /// page is well-formed XML too.
    pub(crate) fn into_html(self) -> String {
        let Self { name, attributes, content } = self;
        format!("<{name}{attributes}>{content}</{name}>")
    }
}

/// An element with a class: most of them.
pub(crate) fn element(name: &'static str, class: &'static str) -> Element {
    Element::new(name).class(class)
}

/// Text that is the same text in HTML, between tags and in quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(one),
            _ if !is_plain(one) => escaped.push('\u{fffd}'),
            _ => escaped.push(one),
        }
    }
    escaped
}

/// A text cut to a number of characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
