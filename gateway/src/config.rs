//! Reads `gateway.yaml`, refuses what is wrong with it, and resolves its paths
//! against its folder.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crds::gateway_config::{GatewayConfig, Problem, Store};

use crate::{
    route::{RouteError, Router},
    scopes::Catalogue,
};

/// `gateway.yaml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not have the shape.
    #[error("{}: {source}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_yaml::Error,
    },
    /// Its parts do not fit together.
    #[error("{}: {} to mend:{}", path.display(), Count(problems.len()), List(problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Its paths collide.
    #[error("{}: routes: {source}", path.display())]
    Route {
        /// The file.
        path: PathBuf,
        /// How.
        source: RouteError,
    },
}

struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} thing{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

struct List<'a>(&'a [Problem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Reads and checks the file.
pub fn load(path: &Path) -> Result<GatewayConfig, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Io {
        path: path.into(),
        source,
    })?;
    let mut config = GatewayConfig::from_yaml(&text).map_err(|source| ConfigError::Yaml {
        path: path.into(),
        source,
    })?;
    let problems = config.check();
    if !problems.is_empty() {
        return Err(ConfigError::Problems {
            path: path.into(),
            problems,
        });
    }
    let collides = |source| ConfigError::Route {
        path: path.into(),
        source,
    };
    Router::new(&config, &Catalogue::new(&config)).map_err(collides)?;
    resolve(&mut config, path.parent().unwrap_or(Path::new("")));
    Ok(config)
}

/// Relative paths in the file start at the file's folder.
fn resolve(config: &mut GatewayConfig, folder: &Path) {
    let Store::Sled(sled) = &mut config.store;
    let files = [&mut config.tls.certificate, &mut config.tls.key];
    let providers = config.users.providers.iter_mut().flat_map(|provider| {
        let authority = provider.certificate_authority.iter_mut();
        authority.chain([&mut provider.client_secret_file])
    });
    for path in files
        .into_iter()
        .flatten()
        .chain([&mut sled.path, &mut config.keys.path])
        .chain(providers)
    {
        *path = folder.join(&*path);
    }
}
