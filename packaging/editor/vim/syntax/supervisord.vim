" Vim syntax file for configurations of supervisord, generated from the table of keys; do not edit.
if exists("b:current_syntax")
  finish
endif
syn match supervisordUnknownSection "^\[.*\]"
syn match supervisordSection "^\[\%(supervisord\|supervisorctl\|include\|unix_http_server\%(:[^\]]\+\)\?\|inet_http_server\%(:[^\]]\+\)\?\|program:[^\]]\+\|group:[^\]]\+\|eventlistener:[^\]]\+\|fcgi-program:[^\]]\+\|notify:[^\]]\+\|nacos\|source\|rpcinterface:[^\]]\+\|ctlplugin:[^\]]\+\|program-default\)\]"
syn match supervisordUnknownKey "^[^][=:;# \t][^=:]*\ze\s*[=:]"
syn match supervisordKey "^\c\%(allow\|allow_empty\|allow_sections\|ambient_capabilities\|api\|autorestart\|autostart\|buffer_size\|cache_dir\|cache_wait\|capabilities\|childlogdir\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(chmod\|chown\|command\|conf_file\|cpu_max\|cpu_weight\|cron\|cron_jitter\|cron_missed\|cron_overlap\|dataid\|dbus\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(dependent_startup\|dependent_startup_wait_for\|depends_on\|diagnostics\|directory\|envFiles\|environment\|environment_file\|essential\|events\|exit_when\|exitcodes\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(extra_groups\|file\|files\|flapping\|format\|group\|health_command\|health_http\|health_interval\|health_log\|health_retries\|health_start_period\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(health_tcp\|health_timeout\|history_file\|hook_timeout\|hosts\|identifier\|interval\|io_weight\|json_merge\|json_time_key\|kill_mode\|kill_on_supervisor_exit\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(killasgroup\|limit_as\|limit_core\|limit_cpu\|limit_data\|limit_fsize\|limit_locks\|limit_memlock\|limit_msgqueue\|limit_nice\|limit_nofile\|limit_nproc\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(limit_rss\|limit_rtprio\|limit_rttime\|limit_sigpending\|limit_stack\|liveness_check_failure_action\|liveness_check_failure_threshold\|liveness_check_initial_delay\|liveness_check_period\|liveness_check_script\|liveness_check_success_action\|liveness_check_success_threshold\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(liveness_check_timeout\|log_format\|log_prefix\|logfile\|logfile_backups\|logfile_compress\|logfile_datefmt\|logfile_keep\|logfile_maxbytes\|logfile_rotate\|logfile_timezone\|loglevel\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(maxbytes\|memory_high\|memory_max\|minfds\|minprocs\|namespace\|nice\|no_new_privileges\|nocleanup\|nodaemon\|nodename\|not_use_cache\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(notify\|numprocs\|numprocs_start\|on\|on_change\|on_fatal\|on_unhealthy\|oom_score_adj\|password\|password_file\|pidfile\|pids_max\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(pinned_users\|poll_interval\|poll_timeout\|port\|post_start_hook\|post_stop_hook\|pre_start_hook\|pre_start_hook_required\|pre_stop_hook\|priority\|process_name\|profile_options\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(programs\|prompt\|ready_check\|ready_fd\|ready_log\|ready_timeout\|ready_when\|redirect_stderr\|reload_command\|reload_signal\|restart_change_delay\|restart_cmd_when_binary_changed\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(restart_cmd_when_file_changed\|restart_delay\|restart_delay_max\|restart_directory_monitor\|restart_file_pattern\|restart_floor\|restart_jitter\|restart_reset_after\|restart_signal_when_binary_changed\|restart_signal_when_file_changed\|restart_when_binary_changed\|restart_with\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(restartpause\|result_handler\|rolling\|server\|serverurl\|silent\|socket\|socket_backlog\|socket_mode\|socket_owner\|splay\|start_timeout\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(startretries\|startsecs\|state_directory\|stderr_capture_maxbytes\|stderr_events_enabled\|stderr_journal_rate_limit\|stderr_log_format\|stderr_logfile\|stderr_logfile_backups\|stderr_logfile_compress\|stderr_logfile_datefmt\|stderr_logfile_group\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(stderr_logfile_keep\|stderr_logfile_maxbytes\|stderr_logfile_mode\|stderr_logfile_owner\|stderr_logfile_rotate\|stderr_syslog\|stdout_capture_maxbytes\|stdout_events_enabled\|stdout_journal_rate_limit\|stdout_log_format\|stdout_logfile\|stdout_logfile_backups\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(stdout_logfile_compress\|stdout_logfile_datefmt\|stdout_logfile_group\|stdout_logfile_keep\|stdout_logfile_maxbytes\|stdout_logfile_mode\|stdout_logfile_owner\|stdout_logfile_rotate\|stdout_syslog\|stop_command\|stopasgroup\|stopsignal\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(stopwaitsecs\|strip_ansi\|supervisor.ctl_factory\|supervisor.rpcinterface_factory\|syslog_facility\|syslog_format\|syslog_framing\|syslog_stderr_priority\|syslog_stdout_priority\|syslog_tag\|timeout\|tls_ca\)\ze\s*[=:]"
syn match supervisordKey "^\c\%(tokens_file\|umask\|user\|username\|watchdogsecs\)\ze\s*[=:]"
syn match supervisordExpansion "%([^)]*)[-+ 0-9.#]*[a-zA-Z]"
syn match supervisordPercent "%%"
syn match supervisordBoolean "\c[=:]\s*\zs\%(yes\|true\|on\|1\|no\|false\|off\|0\)\ze\s*\%($\|\s[;#]\)"
syn match supervisordNumber "[=:]\s*\zs-\?\d\+\%([KMG]B\)\?\ze\s*\%($\|\s[;#]\)"
syn match supervisordComment "^\s*[;#].*$"
syn match supervisordComment "\s[;#].*$"
hi def link supervisordSection Title
hi def link supervisordUnknownSection Error
hi def link supervisordKey Identifier
hi def link supervisordUnknownKey Error
hi def link supervisordExpansion PreProc
hi def link supervisordPercent SpecialChar
hi def link supervisordBoolean Boolean
hi def link supervisordNumber Number
hi def link supervisordComment Comment
let b:current_syntax = "supervisord"
