#!/bin/sh
# An event listener (supervisord-events(7)): writes each change of state to notes.txt, such as "12:00:01 clock: STARTING -> RUNNING".
cd "$(dirname "$0")" || exit 1

# value KEY TEXT: the value of KEY in "KEY:VALUE KEY:VALUE ...".
value() {
	echo "$2" | tr ' ' '\n' | sed -n "s/^$1://p"
}

echo READY
while read -r header; do
	data=$(head -c "$(value len "$header")")
	event=$(value eventname "$header")
	echo "$(date +%T) $(value processname "$data"): $(value from_state "$data") -> ${event#PROCESS_STATE_}" >>notes.txt
	printf 'RESULT 2\nOK'
	echo READY
done
