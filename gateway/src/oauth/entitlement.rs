//! What users may still let applications do. A consent outlives the rights of
//! whoever gave it, so it is looked at again whenever tokens are made.

use super::error::Error;
use crate::{gateway::Gateway, scopes::ScopeSet};

/// Of `scopes`, what this user may still let an application do; none if they
/// are shut out. Who is no administrator any more lets nobody do what is for
/// administrators (FT-10).
pub(super) async fn left(
    gateway: &Gateway,
    subject: &str,
    scopes: ScopeSet,
) -> Result<Option<ScopeSet>, Error> {
    let found = gateway.users.by_subject(subject).await;
    let found = found.map_err(|error| {
        tracing::error!(%error, "user");
        Error::unavailable()
    })?;
    Ok(match found.map(|found| found.value) {
        Some(user) if user.disabled => None,
        Some(user) if user.is_admin => Some(scopes),
        _ => Some(scopes.without(gateway.catalogue.admin_only())),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::{gateway_config::GatewayConfig, secret::Secret};

    use super::*;
    use crate::{
        clock::{ManualClock, System},
        store::entry::Change,
        user::{NewUser, User},
    };

    const CONFIG: &str = "
issuer: https://localhost
tls: {selfSigned: true}
store: {sled: {path: PATH/data, cacheMib: 1, reserveMib: 1}}
keys: {path: PATH/keys}
scopes: [{name: fly, title: Fly}, {name: manage, title: Manage, adminOnly: true}]
";

    async fn change(gateway: &Gateway, change: impl FnOnce(&mut User)) {
        let found = gateway.users.by_subject("anna").await.unwrap().unwrap();
        let mut user = found.value.clone();
        change(&mut user);
        let write = Change::new().expect(&found).put(*found.id(), &user);
        gateway.store.apply(write.unwrap()).await.unwrap();
    }

    /// FT-10, for as long as there are tokens: rights that are taken away are
    /// gone from what was consented to before.
    #[tokio::test]
    async fn a_consent_is_worth_no_more_than_its_user_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("PATH", folder.path().to_str().unwrap());
        let config = Arc::new(GatewayConfig::from_yaml(&text).unwrap());
        let clock = Arc::new(ManualClock::at(1_700_000_000));
        let gateway = Gateway::open(config, 443, clock, Arc::new(System)).unwrap();
        let new = NewUser {
            username: "anna".into(),
            subject: Some("anna".into()),
            is_admin: true,
            password: Some(Secret::new("seven thermals over the Rhön".into())),
            ..NewUser::default()
        };
        gateway.users.create(new).await.unwrap();
        let (fly, all) = (
            gateway.catalogue.set(["fly"]),
            gateway.catalogue.set(["fly", "manage"]),
        );
        let of = async |subject| left(&gateway, subject, all).await.unwrap();
        assert_eq!(of("anna").await, Some(all));
        change(&gateway, |user| user.is_admin = false).await;
        assert_eq!(of("anna").await, Some(fly));
        assert_eq!(of("whoever a test passkey is for").await, Some(fly));
        change(&gateway, |user| user.disabled = true).await;
        assert_eq!(of("anna").await, None);
    }
}
