# Runs one command to its end: FOLDER TIMEOUT GRACE BYTES COMMAND...
# Standard input is the lock of the command's folder, which is held as long as this shell lives.
# The process id of this shell is also the id of the process group.
mask=$(umask)
umask 077
trap '' HUP
trap : INT TERM
path=$PATH
PATH=/usr/bin:/bin:$PATH
folder=$1 limit=$2 grace=$3 bytes=$4
shift 4

# The first outcome that is written stays.
finish() {
    printf '%s\n' "$1" >"$folder/exit.$1.new" || return
    ln "$folder/exit.$1.new" "$folder/exit" 2>/dev/null
    rm -f "$folder/exit.$1.new"
}

mkfifo "$folder/pipe" || exit 1

# From here on the command counts as begun.
cat "/proc/$$/stat" >"$folder/started.new" || exit 1
mv "$folder/started.new" "$folder/started" || exit 1

(
    trap '' INT TERM
    keep_log
    : >"$folder/logged"
) <"$folder/pipe" &

# Ends the whole group when the time is over. It needs no trap, so it can be killed at any moment
# and leaves at most a sleep of one second.
(
    spent=0
    while [ "$spent" -lt "$limit" ]; do
        sleep 1
        spent=$((spent + 1))
    done
    trap '' TERM
    : >"$folder/expired"
    kill -s TERM -- "-$$"
    spent=0
    while [ "$spent" -lt "$grace" ] && [ ! -e "$folder/ended" ]; do
        sleep 1
        spent=$((spent + 1))
    done
    finish timeout
    kill -s KILL -- "-$$"
) </dev/null &
watch=$!

exec 3>"$folder/pipe"
rm -f "$folder/pipe"
(
    trap - INT TERM
    umask "$mask"
    PATH=$path
    exec "$@"
) </dev/null >&3 2>&3 3>&-
code=$?
exec 3>&-
: >"$folder/ended"
kill -s KILL "$watch"

# The last output, unless something that stays behind keeps it open.
waited=0
while [ ! -e "$folder/logged" ] && [ "$waited" -lt 10 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
if [ -e "$folder/expired" ]; then
    finish timeout
    kill -s KILL -- "-$$"
fi
finish "$code"
