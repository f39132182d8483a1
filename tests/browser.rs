//! A browser without JavaScript: cookies, links, forms, and redirects as far as
//! the gateway's own host. It refuses what a real one would.

use std::{cell::RefCell, collections::BTreeMap, process::Stdio};

use tokio::{io::AsyncWriteExt, process::Command};
use url::Url;

use crate::{
    client::{Answer, Call},
    gateway::Gateway,
    harness::{Site, program},
};

/// The password of every user of the tests.
pub(crate) const PASSWORD: &str = "seven thermals over the Wasserkuppe";

/// Makes a user with the command, beside the running gateway.
pub(crate) async fn add_user(site: &Site, name: &str, more: &[&str]) {
    let mut command = Command::new(program("flightgate-gateway"));
    command
        .args(["user", "add", name, "--password-stdin", "--config"])
        .arg(site.path("gateway.yaml"))
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(PASSWORD.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "user add: {said}");
}

/// Somebody's browser.
pub(crate) struct Browser<'a> {
    gateway: &'a Gateway,
    cookies: RefCell<Cookies>,
}

/// Values by name.
pub(crate) type Cookies = BTreeMap<String, String>;

/// What a browser shows, or where it was sent that is not the gateway.
#[derive(Debug)]
pub(crate) struct Page {
    /// Path and query.
    pub(crate) at: String,
    pub(crate) answer: Answer,
    /// A URL elsewhere that the last answer redirects to.
    pub(crate) left_for: Option<Url>,
}

/// A form of a page.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            cookies: RefCell::default(),
        }
    }

    /// A browser that has these cookies already.
    pub(crate) fn with_cookies_of(gateway: &'a Gateway, cookies: Cookies) -> Self {
        Self {
            gateway,
            cookies: RefCell::new(cookies),
        }
    }

    /// All that it was given.
    pub(crate) fn cookies(&self) -> Cookies {
        self.cookies.borrow().clone()
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    /// Has this cookie, however it came by it.
    pub(crate) fn plant(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The call with the cookies, to be sent by other means.
    pub(crate) fn prepare(&self, call: Call) -> Call {
        self.with_cookies(call)
    }

    /// Opens a link from nowhere.
    pub(crate) async fn open(&self, path: &str) -> Page {
        self.try_open(path).await.unwrap()
    }

    /// The same, unless the gateway goes away meanwhile.
    pub(crate) async fn try_open(&self, path: &str) -> Option<Page> {
        self.go(Call::get(path), path).await
    }

    /// Sends a form of a page.
    pub(crate) async fn send(&self, form: &Form) -> Page {
        self.try_send(form).await.unwrap()
    }

    /// The same, unless the gateway goes away meanwhile.
    pub(crate) async fn try_send(&self, form: &Form) -> Option<Page> {
        let call = form
            .call()
            .header("origin", "null")
            .header("sec-fetch-site", "same-origin");
        self.go(call, &form.action).await
    }

    /// Opens a link, signs in where asked to, and says what comes then.
    pub(crate) async fn open_as(&self, path: &str, user: &str) -> Page {
        let page = self.open(path).await;
        assert!(page.has("name=\"password\""), "no sign-in: {page:?}");
        let form = page
            .form("username")
            .with("username", user)
            .with("password", PASSWORD);
        self.send(&form).await
    }

    /// Sends this and follows where it leads, within the gateway.
    async fn go(&self, call: Call, at: &str) -> Option<Page> {
        let (mut call, mut at) = (call, at.to_owned());
        for _ in 0..10 {
            let answer = self.gateway.try_answer(self.with_cookies(call)).await?;
            self.keep_cookies(&answer);
            let Some(location) = answer.header("location").map(str::to_owned) else {
                return Some(Page {
                    at,
                    answer,
                    left_for: None,
                });
            };
            assert_eq!(answer.status, 303, "{answer:?}");
            if !location.starts_with('/') {
                let left_for = Some(Url::parse(&location).unwrap());
                return Some(Page {
                    at,
                    answer,
                    left_for,
                });
            }
            (call, at) = (Call::get(&location), location);
        }
        panic!("redirects without end, at {at}")
    }

    fn with_cookies(&self, call: Call) -> Call {
        let cookies = self.cookies.borrow();
        let cookies: Vec<_> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() {
            return call;
        }
        call.header("cookie", &cookies.join("; "))
    }

    fn keep_cookies(&self, answer: &Answer) {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let mut parts = cookie.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<_> = parts.collect();
            // What the prefix demands (RFC 6265bis section 4.1.3.2).
            assert!(name.starts_with("__Host-"), "{cookie}");
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(&attribute), "{cookie}");
            }
            let mut cookies = self.cookies.borrow_mut();
            if attributes.contains(&"Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Page {
    /// Whether this stands in the page's HTML.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.answer.text().contains(text)
    }

    /// The parameters of the URL that it left for.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let url = self.left_for.as_ref();
        let url =
            url.unwrap_or_else(|| panic!("it went nowhere: {} {}", self.at, self.answer.text()));
        url.query_pairs().into_owned().collect()
    }

    /// The form that has a field of this name.
    pub(crate) fn form(&self, field: &str) -> Form {
        self.form_with(&format!("name=\"{field}\""))
    }

    /// The first form with this in its HTML.
    pub(crate) fn form_with(&self, marked: &str) -> Form {
        let html = self.answer.text();
        let form = html
            .split("<form ")
            .skip(1)
            .map(|form| form.split("</form>").next().unwrap());
        let form = form.into_iter().find(|form| form.contains(marked));
        let form = form.unwrap_or_else(|| panic!("no form with {marked} at {}: {html}", self.at));
        assert_eq!(attribute(form, "method").as_deref(), Some("post"), "{form}");
        let inputs = form
            .split("<input ")
            .skip(1)
            .map(|input| input.split('>').next().unwrap());
        let fields = inputs.filter(|input| sends(input)).filter_map(|input| {
            Some((
                attribute(input, "name")?,
                attribute(input, "value").unwrap_or_default(),
            ))
        });
        Form {
            action: attribute(form, "action").unwrap(),
            fields: fields.collect(),
        }
    }
}

impl Form {
    /// What a browser sends, but for its cookies and what it says of itself.
    pub(crate) fn call(&self) -> Call {
        let fields = self.fields.iter();
        let pairs: Vec<_> = fields.map(|(name, value)| (&**name, &**value)).collect();
        Call::form(&self.action, &pairs)
    }

    /// To be sent to another place.
    #[must_use]
    pub(crate) fn at(mut self, action: &str) -> Self {
        action.clone_into(&mut self.action);
        self
    }

    /// With this in a field, in the place of what was there.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this value of a field beside those that are there: one more box
    /// that is ticked, offered or not.
    #[must_use]
    pub(crate) fn adding(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this value of a field: a box that is no longer ticked.
    #[must_use]
    pub(crate) fn without(mut self, name: &str, value: &str) -> Self {
        self.fields
            .retain(|field| field != &(name.to_owned(), value.to_owned()));
        self
    }

    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(known, _)| known == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

/// Whether an input's value goes out with the form.
fn sends(input: &str) -> bool {
    let is_box = attribute(input, "type").as_deref() == Some("checkbox");
    !is_box || input.split_whitespace().any(|word| word == "checked")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {}", tag.split('>').next().unwrap());
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag[start..].split('"').next()?;
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
        ("&amp;", "&"),
        ("&#60;", "<"),
        ("&#62;", ">"),
    ];
    Some(
        named
            .iter()
            .fold(value.to_owned(), |text, (from, to)| text.replace(from, to)),
    )
}
