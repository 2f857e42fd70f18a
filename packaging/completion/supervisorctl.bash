# Completion of supervisorctl, supervisord, echo_supervisord_conf and pidproxy for bash 4.2 or later, with bash-completion or
# without. The programs themselves
# print the candidates (supervisorctl(1), COMPLETION), so this file needs no updates.
#
# Installed as /usr/share/bash-completion/completions/COMMAND, once for each of the four commands: links will do. Without
# bash-completion, source it in ~/.bashrc.

_supervisord_completion() {
    local ask=${COMP_WORDS[0]} line=${COMP_LINE:0:COMP_POINT}
    case ${ask##*/} in
        supervisorctl | supervisord) ;;
        # Other names of supervisord: ask supervisord.
        *) if [[ $ask == */* ]]; then ask=${ask%/*}/supervisord; else ask=supervisord; fi ;;
    esac
    # What a shell would do, had the word been run.
    if [[ $ask == [~]/* ]]; then ask=$HOME/${ask:2}; fi

    # bash splits words at each character of COMP_WORDBREAKS, a colon among them. What no blank separates is one word.
    local rest=${line#*"${COMP_WORDS[0]}"} text piece i
    local -a words=("${COMP_WORDS[0]}")
    for ((i = 1; i <= COMP_CWORD; i++)); do
        text=${rest#"${rest%%[![:space:]]*}"}
        # The last one ends at the cursor.
        if ((i < COMP_CWORD)); then piece=${COMP_WORDS[i]}; else piece=$text; fi
        if [[ $text == "$rest" ]] && ((i > 1)); then
            words[${#words[@]} - 1]+=$piece
        else
            words+=("$piece")
        fi
        rest=${text#"$piece"}
    done

    # The words without their quotes, and what of the last one bash keeps: all up to the last character that breaks words,
    # unless that is quoted.
    local last=${words[${#words[@]} - 1]} quoted='' kept='' mark
    if [[ $last == *[\"\']* ]]; then quoted=1; fi
    words=("${words[@]//[\\\"\']/}")
    last=${words[${#words[@]} - 1]}
    if [[ -z $quoted ]]; then
        for mark in : =; do
            text=${last%"${last##*"$mark"}"}
            if [[ $COMP_WORDBREAKS == *"$mark"* ]] && ((${#text} > ${#kept})); then kept=$text; fi
        done
    fi

    COMPREPLY=()
    local answer value=$last
    if [[ $last == --*=* ]]; then value=${last#*=}; fi
    while IFS= read -r answer; do
        case $answer in
            $'\t'files) _supervisord_names -f "$value" ;;
            $'\t'directories) _supervisord_names -d "$value" ;;
            $'\t'users) _supervisord_names -u "$value" ;;
            *)
                text=${answer%%$'\t'*}
                text=${text#"$kept"}
                # An asterisk is one for us, not for bash.
                if [[ -z $quoted ]]; then printf -v text %q "$text"; fi
                COMPREPLY+=("$text")
                ;;
        esac
    done < <("$ask" --complete $((${#words[@]} - 1)) "${words[@]}" 2>/dev/null </dev/null)
}

# Names of a kind that bash knows.
_supervisord_names() {
    local name
    # Outside of a completion there is nothing to tell.
    if [[ $1 == -[fd] ]]; then compopt -o filenames 2>/dev/null; fi
    while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen "$1" -- "$2")
}

complete -F _supervisord_completion supervisorctl supervisord echo_supervisord_conf pidproxy
