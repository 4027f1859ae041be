# Becomes one server process: FOLDER BYTES COMMAND...
# Standard input is the lock; it is given back when the process is recorded and its log is set up.
# The process id of this shell stays that of the server, and is the id of its process group.
mask=$(umask)
umask 077
trap '' HUP
path=$PATH
PATH=/usr/bin:/bin:$PATH
folder=$1 bytes=$2
shift 2

mkfifo "$folder/pipe" || exit 1

# From here on the process counts as begun.
cat "/proc/$$/stat" >"$folder/started.new" || exit 1
mv "$folder/started.new" "$folder/started" || exit 1

# The log is kept by no child of the server.
(
    (
        trap '' INT TERM
        keep_log
    ) <"$folder/pipe" >/dev/null 2>&1 &
) </dev/null

exec >"$folder/pipe" 2>&1
rm -f "$folder/pipe"
umask "$mask"
PATH=$path
exec "$@" </dev/null
