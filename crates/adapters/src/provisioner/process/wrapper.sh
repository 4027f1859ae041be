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

# Keeps the end of the output, for as long as anybody writes. It is no child of the server.
(
    (
        trap '' INT TERM
        size=0
        while dd bs=4096 count=8 2>/dev/null >>"$folder/log.new"; do
            now=$(wc -c <"$folder/log.new")
            [ "$now" -eq "$size" ] && break
            size=$now
            if [ "$size" -ge "$bytes" ]; then
                [ -e "$folder/log" ] && mv "$folder/log" "$folder/log.old"
                mv "$folder/log.new" "$folder/log"
                size=0
            fi
        done
        cat >/dev/null
    ) <"$folder/pipe" >/dev/null 2>&1 &
) </dev/null

exec >"$folder/pipe" 2>&1
rm -f "$folder/pipe"
umask "$mask"
PATH=$path
exec "$@" </dev/null
