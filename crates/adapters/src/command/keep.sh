# Keeps the end of standard input in $folder, about $bytes of it, for as long as anybody writes:
# whole blocks as they come, in a new file when one is full. Nothing more was read: nobody writes
# any more, or the disk is full.
keep_log() {
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
}

