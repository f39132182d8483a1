//! A reader for HTML as strict as the pages are: double quotes around every
//! attribute, every element closed, nothing raw. What it cannot read, fails.

use std::collections::BTreeMap;

const VOID: [&str; 4] = ["meta", "link", "input", "img"];
const FLAGS: [&str; 7] = [
    "required",
    "checked",
    "autofocus",
    "hidden",
    "readonly",
    "disabled",
    "novalidate",
];

/// An element, with the text within it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) text: String,
    /// Its place in the list of elements, and that of the first after its end.
    from: usize,
    to: usize,
}

impl Element {
    pub(super) fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }
}

/// A page.
pub(super) struct Html<'a> {
    pub(super) elements: Vec<Element>,
    pub(super) text: &'a str,
}

impl<'a> Html<'a> {
    pub(super) fn read(page: &'a str) -> Result<Self, String> {
        let mut rest = page.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        while let Some(at) = rest.find('<') {
            let text = &rest[..at];
            if text.contains('>') || text.contains('"') && open.is_empty() {
                return Err(format!("raw text: {text:?}"));
            }
            for &i in &open {
                elements[i].text.push_str(&unescape(text));
            }
            rest = &rest[at + 1..];
            if let Some(closing) = rest.strip_prefix('/') {
                let (name, after) = closing.split_once('>').ok_or("no >")?;
                let i = open.pop().ok_or_else(|| format!("</{name}> too many"))?;
                if elements[i].name != name {
                    return Err(format!("<{}> ends as </{name}>", elements[i].name));
                }
                elements[i].to = elements.len();
                rest = after;
                continue;
            }
            let (mut element, after) = tag(rest)?;
            element.from = elements.len();
            element.to = elements.len() + 1;
            if !VOID.contains(&element.name.as_str()) {
                open.push(elements.len());
            }
            elements.push(element);
            rest = after;
        }
        if !open.is_empty() || !rest.trim().is_empty() {
            return Err(format!("{} elements stay open, and {rest:?}", open.len()));
        }
        Ok(Self {
            elements,
            text: page,
        })
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(move |e| e.name == name)
    }

    pub(super) fn one(&self, name: &str) -> &Element {
        let all: Vec<_> = self.all(name).collect();
        assert_eq!(all.len(), 1, "one <{name}> in {}", self.text);
        all[0]
    }

    /// The forms, with what is in them.
    pub(super) fn forms(&self) -> Vec<(&Element, Vec<&Element>)> {
        self.all("form")
            .map(|form| (form, self.elements[form.from + 1..form.to].iter().collect()))
            .collect()
    }
}

/// Reads a start tag, and gives what comes after it.
fn tag(tag: &str) -> Result<(Element, &str), String> {
    let end = tag.find([' ', '\n', '>']).ok_or("no end of a tag's name")?;
    let (name, mut rest) = tag.split_at(end);
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Err(format!("no element: <{name}"));
    }
    let mut attributes = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            let name = name.to_owned();
            return Ok((
                Element {
                    name,
                    attributes,
                    ..Element::default()
                },
                after,
            ));
        }
        let end = rest
            .find(['=', ' ', '\n', '>'])
            .ok_or("no end of an attribute")?;
        let (attribute, after) = rest.split_at(end);
        if !attribute
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'-')
        {
            return Err(format!("no attribute: {attribute:?} in <{name}>"));
        }
        let (value, after) = match after.strip_prefix("=\"") {
            Some(value) => value.split_once('"').ok_or("no end of a value")?,
            None if FLAGS.contains(&attribute) => ("", after),
            None => return Err(format!("no value: {attribute:?} in <{name}>")),
        };
        if value.contains(['<', '>']) {
            return Err(format!("raw value: {value:?}"));
        }
        if attributes
            .insert(attribute.to_owned(), value.to_owned())
            .is_some()
        {
            return Err(format!("{attribute} twice in <{name}>"));
        }
        rest = after;
    }
}

/// The characters that the templates' escapes stand for.
pub(super) fn unescape(text: &str) -> String {
    [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
}
