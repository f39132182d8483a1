//! Accounts and their passwords.

use std::time::Instant;

use super::*;
use crate::user::{
    UserError, account::User, password::PasswordError, sign_in::SignInError, throttle::RetryAfter,
};

#[tokio::test]
async fn a_user_is_found_by_name_in_any_case_and_by_subject() {
    let f = fixture();
    let new = NewUser {
        subject: Some("pilot:anna".into()),
        email: Some("anna@example.org".into()),
        email_verified: true,
        is_admin: true,
        plan: Some("default".into()),
        ..named("Anna")
    };
    let anna = f.users.create(new).await.unwrap();
    assert_eq!(
        (anna.username.as_str(), anna.created_at, anna.is_admin),
        ("Anna", NOW, true)
    );
    for found in [
        f.users.by_name("aNNa").await.unwrap(),
        f.users.by_subject("pilot:anna").await.unwrap(),
    ] {
        assert_eq!(found.unwrap().value, anna);
    }
    for name in ["ann", "anna ", "", "аnna"] {
        assert!(f.users.by_name(name).await.unwrap().is_none(), "{name:?}");
    }
    let berta = f.users.create(named("berta")).await.unwrap();
    assert_eq!(berta.subject, berta.id);
    assert_eq!(
        uuid::Uuid::parse_str(&berta.id).unwrap().get_version_num(),
        4
    );
}

/// Nothing of the store names anybody to who reads its keys, and no password
/// stands in it.
#[tokio::test]
async fn a_password_is_kept_as_argon2id_by_owasps_parameters() {
    let f = fixture();
    let anna = f.users.create(named("anna")).await.unwrap();
    let hash = anna.password.unwrap().0;
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
    // Keyed: without the pepper the right password does not fit.
    let plain = argon2::Argon2::default();
    let hash = argon2::PasswordHash::new(&hash).unwrap();
    assert!(argon2::PasswordVerifier::verify_password(&plain, GOOD.as_bytes(), &hash).is_err());
}

#[tokio::test]
async fn of_many_who_want_one_name_or_subject_one_gets_it() {
    let f = fixture();
    for round in 0..4 {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let users = f.users.clone();
                tokio::spawn(async move {
                    // Without a password, so that all arrive at once.
                    let by_name = task % 2 == 0;
                    let new = NewUser {
                        username: if by_name {
                            format!("Anna{round}")
                        } else {
                            format!("n{round}-{task}")
                        },
                        subject: (!by_name).then(|| format!("pilot:{round}")),
                        ..NewUser::default()
                    };
                    users.create(new).await
                })
            })
            .collect();
        let (mut names, mut subjects) = (0, 0);
        for (number, task) in tasks.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(_) if number % 2 == 0 => names += 1,
                Ok(_) => subjects += 1,
                Err(UserError::NameTaken(_)) => assert_eq!(number % 2, 0),
                Err(UserError::SubjectTaken(_)) => assert_eq!(number % 2, 1),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((names, subjects), (1, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused_with_what_was_expected() {
    let f = fixture();
    let client = &f.users.config.prefixes.client;
    for (new, expected) in [
        (named("a b"), "not a user name: expected"),
        (
            NewUser {
                subject: Some("a b".into()),
                ..named("a")
            },
            "subject: expected 1 to 128",
        ),
        (
            NewUser {
                subject: Some(format!("{client}x")),
                ..named("a")
            },
            "subject: expected one that does not start with `fg_app_`",
        ),
        (
            NewUser {
                email: Some("nobody".into()),
                ..named("a")
            },
            "email: expected an address",
        ),
        (
            NewUser {
                github_email: Some("nobody".into()),
                ..named("anna")
            },
            "github email: expected an address",
        ),
        (
            NewUser {
                discord_username: Some(" \n".into()),
                ..named("anna")
            },
            "discord username: expected a name",
        ),
        (
            NewUser {
                email_verified: true,
                ..named("a")
            },
            "verified: expected an e-mail address",
        ),
        (
            NewUser {
                plan: Some("gold".into()),
                ..named("a")
            },
            "plan: expected a plan of gateway.yaml: default",
        ),
    ] {
        let error = f.users.create(new).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(f.users.list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn passwords_have_a_length_and_are_not_the_first_guess() {
    let f = fixture();
    let long = "ab".repeat(513);
    for (password, expected) in [
        ("nine char", PasswordError::Short),
        ("ééééééééé", PasswordError::Short),
        (long.as_str(), PasswordError::Long),
        ("PASSWORD1234", PasswordError::Common),
        ("zzzzzzzzzzzz", PasswordError::Common),
        ("Anna.Pilot", PasswordError::OwnName),
        ("anna@example.ORG", PasswordError::OwnName),
    ] {
        let new = NewUser {
            password: Some(secret(password)),
            email: Some("anna@example.org".into()),
            ..named("anna.pilot")
        };
        match f.users.create(new).await {
            Err(UserError::Password(error)) => assert_eq!(error, expected, "{password}"),
            other => panic!("{password}: {other:?}"),
        }
    }
    let new = NewUser {
        password: Some(secret(&"éà".repeat(256))),
        ..named("anna")
    };
    f.users.create(new).await.unwrap();
}

/// RFC 8265: one keyboard composes, another does not.
#[tokio::test]
async fn a_password_is_the_same_however_its_letters_are_composed() {
    let f = fixture();
    let new = NewUser {
        password: Some(secret("Z\u{fc}rich-D\u{fc}bendorf")),
        ..named("anna")
    };
    f.users.create(new).await.unwrap();
    let decomposed = secret("Zu\u{308}rich-Du\u{308}bendorf");
    let headers = HeaderMap::new();
    f.users
        .sign_in("anna", &decomposed, HERE, &headers)
        .await
        .unwrap();
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let f = fixture();
    for number in 0..25 {
        let new = NewUser {
            password: None,
            ..named(&format!("u{number}"))
        };
        f.users.create(new).await.unwrap();
    }
    let (mut names, mut after) = (std::collections::BTreeSet::new(), None);
    loop {
        let page = f.users.list(after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last.id());
        assert!(page.len() <= 10);
        names.extend(page.into_iter().map(|found| found.value.username));
    }
    assert_eq!(names.len(), 25);
}

/// What the store holds when other parameters were the ones of the day.
async fn outdated(f: &Fixture) -> User {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let old = f.users.passwords.like(params);
    let hash = old.hash(&secret(GOOD), [3; 16]).await.unwrap();
    let found = f.users.by_name("anna").await.unwrap().unwrap();
    let mut user = found.value.clone();
    user.password = Some(hash);
    f.users.replace(&found, &user).await.unwrap();
    user
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_at_the_next_sign_in_and_no_session_ends() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let session = sign_in(&f.users, "anna").await;
    let before = outdated(&f).await;
    assert!(before.password.as_ref().unwrap().0.contains("m=8,t=1"));
    let wrong = f
        .users
        .sign_in("anna", &secret("not this one"), HERE, &HeaderMap::new())
        .await;
    assert!(matches!(wrong, Err(SignInError::Wrong)));
    let kept = f.users.by_name("anna").await.unwrap().unwrap().value;
    assert_eq!(
        kept.password, before.password,
        "a wrong one changes nothing"
    );
    sign_in(&f.users, "anna").await;
    let after = f.users.by_name("anna").await.unwrap().unwrap().value;
    assert!(
        after
            .password
            .as_ref()
            .unwrap()
            .0
            .contains("m=19456,t=2,p=1")
    );
    sign_in(&f.users, "anna").await;
    let still = f.users.signed_in(&holding(&session.cookies)).await.unwrap();
    assert!(still.is_some());
}

/// Wrong password, nobody, disabled, no password, no name at all, a megabyte:
/// one answer.
#[tokio::test]
async fn every_failed_sign_in_gets_the_same_answer() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    f.users.create(named("berta")).await.unwrap();
    f.users.disable("berta").await.unwrap();
    let linked = NewUser {
        password: None,
        ..named("carla")
    };
    f.users.create(linked).await.unwrap();
    for (name, password) in [
        ("anna", "five Pegasus over the alps"),
        ("anna", ""),
        ("anna", &"x".repeat(1 << 20)),
        ("berta", GOOD),
        ("carla", GOOD),
        ("carla", ""),
        ("nobody", GOOD),
        ("", GOOD),
        ("\u{202e}anna", GOOD),
        (&"n".repeat(1 << 20), GOOD),
    ] {
        let failed = f
            .users
            .sign_in(name, &secret(password), HERE, &HeaderMap::new())
            .await;
        let Err(error @ SignInError::Wrong) = failed else {
            panic!("{failed:?}")
        };
        assert_eq!(error.to_string(), "name or password is wrong");
    }
}

/// The work is what takes the time, so the times are alike. Bounds are wide,
/// for a machine with other things to do; without the work it would be a
/// thousandth.
#[tokio::test]
async fn an_unknown_name_costs_the_same_work() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let mut fastest = [u128::MAX; 2];
    for round in 0..4 {
        for (who, name) in ["anna", "nobody"].into_iter().enumerate() {
            let begin = Instant::now();
            let failed = f
                .users
                .sign_in(name, &secret("not this one"), HERE, &HeaderMap::new())
                .await;
            assert!(matches!(failed, Err(SignInError::Wrong)), "{round}");
            fastest[who] = fastest[who].min(begin.elapsed().as_micros());
        }
    }
    let [known, unknown] = fastest;
    assert!(
        unknown > known / 20 && known > unknown / 20,
        "{known} µs, {unknown} µs"
    );
}

#[tokio::test]
async fn guessing_at_an_account_is_slowed_down_but_its_own_browser_is_let_in() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let mine = sign_in(&f.users, "anna").await;
    let elsewhere = |n: u8| IpAddr::from([192, 0, 2, n]);
    let strange = HeaderMap::new();
    for n in 0..5 {
        let failed = f
            .users
            .sign_in("Anna", &secret("not this one"), elsewhere(n), &strange)
            .await;
        assert!(matches!(failed, Err(SignInError::Wrong)), "{failed:?}");
    }
    let refused = f
        .users
        .sign_in("anna", &secret(GOOD), elsewhere(9), &strange)
        .await;
    assert!(
        matches!(refused, Err(SignInError::Wait(RetryAfter(10)))),
        "even the right one is not looked at: {refused:?}"
    );
    let known = holding(&mine.cookies);
    f.users
        .sign_in("anna", &secret(GOOD), HERE, &known)
        .await
        .unwrap();
    // The cookie of another account opens nothing.
    f.users.create(named("eve")).await.unwrap();
    let eve = sign_in(&f.users, "eve").await;
    let refused = f
        .users
        .sign_in("anna", &secret(GOOD), HERE, &holding(&eve.cookies))
        .await;
    assert!(matches!(refused, Err(SignInError::Wait(_))), "{refused:?}");
    // A known browser has a count of its own, and no more than that.
    for _ in 0..5 {
        let failed = f
            .users
            .sign_in("anna", &secret("not this one"), HERE, &known)
            .await;
        assert!(matches!(failed, Err(SignInError::Wrong)), "{failed:?}");
    }
    let refused = f.users.sign_in("anna", &secret(GOOD), HERE, &known).await;
    assert!(matches!(refused, Err(SignInError::Wait(_))), "{refused:?}");
    f.clock.advance(10);
    f.users
        .sign_in("anna", &secret(GOOD), elsewhere(9), &strange)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_that_tries_many_names_is_refused_and_others_are_not() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let headers = HeaderMap::new();
    for n in 0..20 {
        let name = format!("user{n}");
        let failed = f.users.sign_in(&name, &secret("x"), HERE, &headers).await;
        assert!(matches!(failed, Err(SignInError::Wrong)), "{failed:?}");
    }
    let refused = f.users.sign_in("anna", &secret(GOOD), HERE, &headers).await;
    assert!(matches!(refused, Err(SignInError::Wait(RetryAfter(300)))));
    let other = IpAddr::from([192, 0, 2, 1]);
    f.users
        .sign_in("anna", &secret(GOOD), other, &headers)
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_signs_in_here_where_that_is_switched_off() {
    let f = fixture_with("{local: false}");
    f.users.create(named("anna")).await.unwrap();
    let off = f
        .users
        .sign_in("anna", &secret(GOOD), HERE, &HeaderMap::new())
        .await;
    assert!(matches!(off, Err(SignInError::Off)));
}
