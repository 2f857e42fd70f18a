# Completion of supervisorctl, supervisord, echo_supervisord_conf and pidproxy for fish 3 or later. The programs themselves
# print the candidates (supervisorctl(1), COMPLETION), so this file needs no updates.
#
# Installed as /usr/share/fish/vendor_completions.d/COMMAND.fish, once for each of the four commands: links will do.

function __fish_supervisord_complete
    # The words before the cursor, without their quotes.
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l plain (string unescape -- $word)
    and set word $plain
    set -l ask (string replace -r '^~/' "$HOME/" -- $words[1])
    switch (string replace -r '.*/' '' -- $ask)
        case supervisorctl supervisord
        case '*'
            # Other names of supervisord: ask supervisord.
            set ask (string replace -r '[^/]*$' supervisord -- $ask)
    end
    set -l joined (string match -r '^--[^=]*=' -- "$word")
    set -l value (string replace -r '^--[^=]*=' '' -- "$word")
    set -l names
    for answer in (command $ask --complete (count $words) $words "$word" 2>/dev/null </dev/null)
        switch $answer
            case \tfiles
                set -a names "$joined"(__fish_complete_path "$value")
            case \tdirectories
                set -a names "$joined"(__fish_complete_directories "$value" '')
            case \tusers
                set -a names "$joined"(__fish_complete_users)
            case '*'
                set -a names $answer
        end
    end
    string join -- \n $names
end

for name in supervisorctl supervisord echo_supervisord_conf pidproxy
    # It may have been read before, under another of these names.
    complete -c $name -e
    complete -c $name -f -a '(__fish_supervisord_complete)'
end
