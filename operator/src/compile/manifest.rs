//! Manifests, as people write them: files of YAML or JSON, with several
//! documents each, some of them lists.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_json::Value;

/// Where a manifest stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    file: Rc<PathBuf>,
    /// Which document of the file, from 1; none: the file holds one.
    document: Option<usize>,
    /// Its first line, from 1.
    line: usize,
    /// Which item of a list, from 0.
    item: Option<usize>,
}

/// An object that a file holds.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    /// Where it stands.
    pub origin: Origin,
    /// The object as written.
    pub object: Value,
}

/// A file or a document that is no manifest.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Where it stands.
    pub origin: Origin,
    /// Why it cannot be read.
    pub message: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)?;
        if let Some(document) = self.document {
            write!(f, " (document {document})")?;
        }
        if let Some(item) = self.item {
            write!(f, " (item {item})")?;
        }
        Ok(())
    }
}

/// Everything that the folder holds, in the order of its files' names.
pub(super) fn read(folder: &Path) -> io::Result<(Vec<Manifest>, Vec<Unreadable>)> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        // Rather than take away every resource because of a mistyped path.
        return Err(io::Error::other("it holds no *.yaml, *.yml or *.json file"));
    }
    let mut manifests = Vec::new();
    let mut unreadable = Vec::new();
    for file in files {
        let bytes = fs::read(&file)?;
        let is_json = file
            .extension()
            .is_some_and(|extension| extension == "json");
        let file = Rc::new(file);
        match String::from_utf8(bytes) {
            Ok(text) => split(&file, &text, is_json, &mut manifests, &mut unreadable),
            Err(error) => unreadable.push(Unreadable {
                origin: Origin {
                    file,
                    document: None,
                    line: 1,
                    item: None,
                },
                message: format!("is not UTF-8: {}", error.utf8_error()),
            }),
        }
    }
    Ok((manifests, unreadable))
}

/// A path that is a file is that file; in a folder, hidden files and folders
/// are left out.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
        {
            continue;
        }
        let is_manifest = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension == *known)
        });
        if path.is_dir() || (is_manifest && path.is_file()) {
            find(&path, files)?;
        }
    }
    Ok(())
}

fn split(
    file: &Rc<PathBuf>,
    text: &str,
    is_json: bool,
    manifests: &mut Vec<Manifest>,
    unreadable: &mut Vec<Unreadable>,
) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = if is_json {
        vec![(1, text.to_owned())]
    } else {
        documents(text)
    };
    let is_single = documents.len() == 1;
    for (i, (line, text)) in documents.into_iter().enumerate() {
        let document = (!is_single).then_some(i + 1);
        let origin = Origin {
            file: file.clone(),
            document,
            line,
            item: None,
        };
        let object = if is_json {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            from_yaml(&text, line)
        };
        match object {
            // An empty document, or one of comments alone.
            Ok(Value::Null) => {}
            Ok(object) => unfold(object, origin, manifests),
            Err(message) => unreadable.push(Unreadable { origin, message }),
        }
    }
}

/// The documents of a stream, each with the number of its first line.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = Vec::new();
    let mut start = 1;
    let mut current = String::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let is_mark = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_mark {
            documents.push((start, std::mem::take(&mut current)));
            // What follows on the line of the mark belongs to the document.
            current.push_str("   ");
            current.push_str(&line[3..]);
            start = i + 1;
        } else {
            current.push_str(line);
        }
    }
    documents.push((start, current));
    documents.retain(|(_, text)| !is_blank(text));
    for (start, text) in &mut documents {
        // The first line that says something, for messages.
        let blank = text.lines().take_while(|line| is_blank(line)).count();
        let skipped: usize = text.split_inclusive('\n').take(blank).map(str::len).sum();
        *start += blank;
        text.drain(..skipped);
    }
    documents
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    })
}

/// Through YAML's own value, which refuses a key that stands twice, as
/// `kubectl apply` does.
fn from_yaml(text: &str, line: usize) -> Result<Value, String> {
    let parsed = serde_yaml::from_str(text).and_then(|mut value: serde_yaml::Value| {
        value.apply_merge()?;
        Ok(value)
    });
    let value = parsed.map_err(|error| {
        let place = error.location().map_or(String::new(), |at| {
            format!(" (line {}, column {})", at.line() + line - 1, at.column())
        });
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        format!("is not YAML: {message}{place}")
    })?;
    serde_json::to_value(&value).map_err(|error| format!("is no object of Kubernetes: {error}"))
}

/// The items of a `kind: List`, or the object itself.
fn unfold(object: Value, origin: Origin, manifests: &mut Vec<Manifest>) {
    let is_list = object
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match object.get("items").and_then(Value::as_array) {
        Some(items) if is_list => {
            for (i, item) in items.iter().enumerate() {
                let origin = Origin {
                    item: Some(i),
                    ..origin.clone()
                };
                unfold(item.clone(), origin, manifests);
            }
        }
        _ => manifests.push(Manifest { origin, object }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_first_line() {
        let text = "# head\n---\n# only a comment\n---\n\n# about a\na: 1\n--- \nb: 2\n---\n";
        let documents = documents(text);
        let lines: Vec<_> = documents
            .iter()
            .map(|(line, text)| (*line, text.as_str()))
            .collect();
        assert_eq!(lines, [(7, "a: 1\n"), (9, "b: 2\n")]);
    }

    #[test]
    fn a_mistake_names_its_line_in_the_file() {
        let text = "a: 1\n---\nb: [1\nc: 2\n";
        let mut manifests = Vec::new();
        let mut unreadable = Vec::new();
        split(
            &Rc::new("x.yaml".into()),
            text,
            false,
            &mut manifests,
            &mut unreadable,
        );
        assert_eq!(manifests.len(), 1);
        assert!(
            unreadable[0].message.contains("line 4"),
            "{}",
            unreadable[0].message
        );
        assert_eq!(unreadable[0].origin.to_string(), "x.yaml:3 (document 2)");
    }

    #[test]
    fn merge_keys_are_merged() {
        let value = from_yaml("base: &base {a: 1}\nspec: {<<: *base, b: 2}\n", 1).unwrap();
        assert_eq!(value["spec"], serde_json::json!({"a": 1, "b": 2}));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let error = from_yaml("spec:\n  a: 1\n  a: 2\n", 1).unwrap_err();
        assert!(error.contains("duplicate"), "{error}");
    }
}
