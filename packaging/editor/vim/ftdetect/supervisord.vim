au BufRead,BufNewFile supervisord.conf,*/supervisor/conf.d/*.conf,*/supervisord.d/*.ini setfiletype supervisord
