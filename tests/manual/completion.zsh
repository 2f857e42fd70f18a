# Asks a zsh of its own, at a terminal of its own, what may follow a line: `zsh -f completion.zsh DIRECTORY LINE`, where
# DIRECTORY has the functions. Prints what it would offer, one a line.
zmodload zsh/zpty
zpty asked zsh -f -i
zpty -w asked "stty -echo; PS1=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
# What completion functions add is noted on its way, and told instead of shown. The marks are spelled so that the terminal,
# which repeats what is typed, never shows them first.
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
