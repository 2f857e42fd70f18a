# Prints the candidates of another zsh at its own terminal for a line, one a line: `zsh -f completion.zsh DIRECTORY LINE`.
# DIRECTORY has the completion functions.
zmodload zsh/zpty
zpty asked zsh -f -i
zpty -w asked "stty -echo; PS1=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
# A wrapper of compadd records the candidates and prints them between marks. The marks are written in two parts, because the
# terminal echoes the typed text, which must not contain them.
zpty -w asked '
typeset -ga hits
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a found
        builtin compadd -O found "$@"
        hits+=("${found[@]}")
    fi
    builtin compadd "$@"
}
report() {
    hits=()
    _main_complete
    print -rn -- "<""<${(j:|:)hits}>>"
    compstate[insert]=
    compstate[list]=
}
zle -C report complete-word report
bindkey "^T" report
print -n "<""<ready>>"'
zpty -r asked answer '*<<ready>>*'
zpty -w -n asked "$2"$'\C-t'
zpty -r asked answer '*<<*>>*'
answer=${answer##*<<}
print -rl -- ${(s:|:)${answer%%>>*}}
zpty -d asked
