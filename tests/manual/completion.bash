# Completes a line as bash would: `bash --norc completion.bash SCRIPT LINE WORD...`, the words being those into which bash
# splits the line. Prints what it would offer, one a line.
# shellcheck source=/dev/null
if [[ -n $BASH_COMPLETION ]]; then source "$BASH_COMPLETION"; fi
# shellcheck source=/dev/null
source "$1"
# These are what bash would set.
# shellcheck disable=SC2034
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("${@:3}") COMP_CWORD=$(($# - 3))
COMPREPLY=()
function=$(complete -p "$3")
function=${function#*-F }
"${function%% *}" "$3" "${!#}" ''
printf '%s\n' "${COMPREPLY[@]}"
