#!/bin/bash
# Debian's xenstore tools, unchanged, on bulkhead-store: each tool, a watch, and the tree after a kill.
. "$(dirname "$0")/functions.sh"
need xenstore-ls xenstore-read xenstore-write xenstore-rm xenstore-chmod xenstore-watch xenstore-exists xenstore-list
[ -x "$BUILD/bin/bulkhead-store" ] || skip "bulkhead-store is not built"
export XENSTORED_PATH=$T/run/store.sock
store=

up() {
	"$BUILD/bin/bulkhead-store" --runtime-dir "$T/run" 2>>"$T/log" &
	store=$!
	wait_for 5 "store" xenstore-exists /
}
down() { [ -z "$store" ] || kill "$1" "$store" 2>/dev/null && wait "$store" 2>/dev/null; store=; }
at_exit 'down -KILL'
same() { [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"; }

up
xenstore-write /vm/a/name alpha /vm/a/memory 512 || fail "write"
same read "$(xenstore-read /vm/a/name)" alpha
same "read of two" "$(xenstore-read /vm/a/name /vm/a/memory | tr '\n' ' ')" "alpha 512 "
same "list" "$(xenstore-list /vm/a | tr '\n' ' ')" "name memory "
xenstore-exists /vm/a/name || fail "exists said no"
xenstore-exists /vm/b && fail "exists said yes"
xenstore-read /vm/b 2>/dev/null && fail "a node that is not there was read"
xenstore-chmod /vm/a b0 || fail "chmod"
xenstore-ls -fp /vm | grep -q '^/vm/a = ""  *(b0)' || fail "ls -fp shows: $(xenstore-ls -fp /vm)"
xenstore-chmod -r /vm r0 || fail "chmod -r"
xenstore-ls -fp /vm | grep -q '^/vm/a/name = "alpha"  *(r0)' || fail "chmod -r: $(xenstore-ls -fp /vm)"
xenstore-write "bad path!" 1 2>/dev/null && fail "a bad path was written"

# More children than fit into one message: libxenstore asks for the list in parts.
for i in $(seq 1 700); do echo "/many/child-number-$i"; echo x; done | xargs -n 200 xenstore-write || fail "many writes"
same "children" "$(xenstore-list /many | wc -l)" 700

xenstore-watch -n 4 /vm >"$T/watch" &
watch=$!
at_exit "kill $watch 2>/dev/null"
wait_for 5 "first event" grep -q . "$T/watch"
xenstore-write /vm/a/name beta
wait_for 5 "second event" grep -qx /vm/a/name "$T/watch"
xenstore-write /other 1
xenstore-write /vm/c/d 1
wait_for 5 "third event" grep -qx /vm/c/d "$T/watch"
xenstore-rm /vm/c
wait $watch || fail "xenstore-watch ended with $?"
same "events" "$(tr '\n' ' ' <"$T/watch")" "/vm /vm/a/name /vm/c/d /vm/c "

before=$(xenstore-ls -fp)
down -KILL
up
same "the tree after a kill" "$(xenstore-ls -fp)" "$before"
xenstore-rm /many || fail "rm"
xenstore-exists /many/child-number-7 && fail "rm left children"
"$BUILD/bin/bulkhead-store" --runtime-dir "$T/run" 2>"$T/second"
same "status of a second store" $? 111
grep -q "another bulkhead-store" "$T/second" || fail "the second store said: $(cat "$T/second")"
"$BUILD/bin/bulkhead-store" --nonsense 2>/dev/null
same "status of a bad option" $? 100
before=$(xenstore-ls -fp)
kill -TERM "$store"
wait "$store"
same "status after SIGTERM" $? 0
store=
up
same "the tree after SIGTERM" "$(xenstore-ls -fp)" "$before"
down -TERM
head -c 100 /dev/zero >"$T/run/store.log"
"$BUILD/bin/bulkhead-store" --runtime-dir "$T/run" 2>"$T/second"
same "status with a log of another kind" $? 125
grep -q "move it away" "$T/second" || fail "it said: $(cat "$T/second")"
echo "xenstore tools: ok"
