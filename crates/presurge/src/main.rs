//! Presurge on the command line.

fn main() -> std::process::ExitCode {
    presurge::run()
}
