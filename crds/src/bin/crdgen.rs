//! Writes the custom resource definitions, one file each, into a folder.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).unwrap_or_else(|| "crds/yaml".into());
    for definition in crds::definitions() {
        let text = serde_yaml::to_string(&definition).map_err(io::Error::other)?;
        let file = format!("{}.yaml", definition.spec.names.plural);
        fs::write(Path::new(&folder).join(file), text)?;
    }
    Ok(())
}
