//! Which resource somebody means: `acme`, `oapp/acme`, `apikey/anna`.

use std::str::FromStr;

use super::{
    access::Access,
    api::{self, ApiError, Request},
    kind::Kind,
    resource::Resource,
};

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// None: the name alone.
    pub(super) kind: Option<Kind>,
    pub(super) name: String,
}

/// It is not clear which resource is meant, or it is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// It has no such form.
    #[error(
        "`{0}` names no resource: write NAME or KIND/NAME, such as acme, oapp/acme, apikey/anna or webhook/flights"
    )]
    Form(String),
    /// There is none.
    #[error("there is no {what} `{name}` in the namespace `{namespace}`{}", hint(.others))]
    Missing {
        what: &'static str,
        name: String,
        namespace: String,
        /// What is called like that.
        others: Vec<String>,
    },
    /// There are several.
    #[error("`{name}` is several resources: write {}", .candidates.join(" or "))]
    Ambiguous {
        name: String,
        candidates: Vec<String>,
    },
    /// The API server does not say.
    #[error(transparent)]
    Api(#[from] ApiError),
}

fn hint(others: &[String]) -> String {
    if others.is_empty() {
        return "; `kubectl flightgate status -A` lists what there is".into();
    }
    format!(
        ", but something else has the name: write {}",
        others.join(" or ")
    )
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refuse = || TargetError::Form(text.chars().take(80).collect());
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (Some(Kind::parse(kind).ok_or_else(refuse)?), name),
            None => (None, text),
        };
        let is_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
        };
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_name) {
            return Err(refuse());
        }
        let name = name.to_owned();
        Ok(Self { kind, name })
    }
}

/// Every resource that a text may mean.
pub(super) async fn find(access: &Access, target: &Target) -> Result<Vec<Resource>, TargetError> {
    let mut found = Vec::new();
    let mut trouble = None;
    for kind in Kind::ALL {
        if target.kind.is_some_and(|it| it != kind) {
            continue;
        }
        match api::get(&access.client, kind, &access.namespace, &target.name).await {
            Ok(resource) => found.extend(resource),
            // Whom one kind is forbidden may mean another.
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    if found.is_empty() {
        if let Some(error) = trouble {
            return Err(error.into());
        }
        let kind = target.kind.unwrap_or(Kind::Application);
        if !api::served(&access.client).await?.contains(&kind) {
            return Err(ApiError::NotInstalled(Request::ours("get", kind, None)).into());
        }
        return Err(TargetError::Missing {
            what: target.kind.map_or("resource", Kind::name),
            name: target.name.clone(),
            namespace: access.namespace.clone(),
            others: Vec::new(),
        });
    }
    Ok(found)
}

/// The one resource that a text means: a name alone means an `OAuthApplication`.
pub(super) async fn resolve(access: &Access, text: &str) -> Result<Resource, TargetError> {
    let target: Target = text.parse()?;
    let found = find(access, &target).await?;
    choose(&target, found)
}

fn choose(target: &Target, mut found: Vec<Resource>) -> Result<Resource, TargetError> {
    let candidates = found
        .iter()
        .map(|it| format!("{}/{}", it.kind.short(), it.name))
        .collect();
    let name = target.name.clone();
    match (target.kind, found.len()) {
        (_, 2..) => Err(TargetError::Ambiguous { name, candidates }),
        (None, _) if found.iter().all(|it| it.kind != Kind::Application) => {
            Err(TargetError::Missing {
                what: Kind::Application.name(),
                name,
                namespace: found.pop().map(|it| it.namespace).unwrap_or_default(),
                others: candidates,
            })
        }
        _ => found.pop().ok_or(TargetError::Form(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::resource::tests::served;

    #[test]
    fn a_name_stands_alone_or_behind_its_kind() {
        let target: Target = "apikeys/anna".parse().unwrap();
        assert_eq!((target.kind, &*target.name), (Some(Kind::ApiKey), "anna"));
        assert_eq!("acme".parse::<Target>().unwrap().kind, None);
        for text in ["", "pod/acme", "oapp/", "Acme", "a/b/c", "../x"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("KIND/NAME"), "{error}");
        }
    }

    #[test]
    fn a_name_alone_is_an_applications_unless_it_is_several() {
        let target: Target = "acme".parse().unwrap();
        let application = served(&[]);
        let key = Resource {
            kind: Kind::ApiKey,
            ..application.clone()
        };
        let both = vec![application.clone(), key.clone()];
        let error = choose(&target, both).unwrap_err().to_string();
        assert_eq!(
            error,
            "`acme` is several resources: write oapp/acme or apikey/acme"
        );
        let error = choose(&target, vec![key.clone()]).unwrap_err().to_string();
        assert!(error.contains("no OAuthApplication `acme`"), "{error}");
        assert!(error.ends_with("write apikey/acme"), "{error}");
        assert_eq!(
            choose(&target, vec![application.clone()]).unwrap(),
            application
        );
        let target: Target = "apikey/acme".parse().unwrap();
        assert_eq!(choose(&target, vec![key.clone()]).unwrap(), key);
    }
}
