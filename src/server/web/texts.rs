//! TEXTS: every text of the page in English and Chinese, one row per text. Pure.
//!
//! `{0}`, `{1}` stand for values. English texts of Supervisor's page are Supervisor's, because scripts compare them.

use std::fmt::Display;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// All languages, in the order of the columns of the table.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its name in the cookie.
    pub(super) const fn cookie_value(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its tag in `<html lang>`.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Its name in itself.
    pub(super) const fn own_name(self) -> &'static str {
        self.say(Text::LanguageName)
    }

    /// A text in this language.
    pub(super) const fn say(self, text: Text) -> &'static str {
        let [english, chinese] = text.columns();
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// A text in this language with its values.
    pub(super) fn fill(self, text: Text, values: &[&dyn Display]) -> String {
        let mut filled = String::new();
        let mut rest = self.say(text);
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (number, after) = after.split_once('}').unwrap_or((after, ""));
            if let Some(value) = number.parse().ok().and_then(|at: usize| values.get(at)) {
                filled.push_str(&value.to_string());
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// Defines [`Text`] from the rows of its two tables. Scripts know the texts of the second one too.
macro_rules! texts {
    (
        page { $($page:ident: $page_en:literal, $page_zh:literal;)+ }
        scripts { $($script:ident: $script_en:literal, $script_zh:literal;)+ }
    ) => {
        /// A text of the page. Its row has the words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Text {
            $($page,)+
            $($script,)+
        }

        impl Text {
            /// The texts of the scripts, with the names by which these know them.
            pub(super) const OF_SCRIPTS: &[(&str, Self)] = &[$((stringify!($script), Self::$script)),+];

            /// All texts with their names.
            #[cfg(test)]
            pub(super) const ALL: &[(&str, Self)] = &[
                $((stringify!($page), Self::$page),)+
                $((stringify!($script), Self::$script),)+
            ];

            /// Its name, by which scripts know it.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$page => stringify!($page),)+
                    $(Self::$script => stringify!($script),)+
                }
            }

            /// The text in English and Chinese.
            const fn columns(self) -> [&'static str; 2] {
                match self {
                    $(Self::$page => [$page_en, $page_zh],)+
                    $(Self::$script => [$script_en, $script_zh],)+
                }
            }
        }
    };
}

texts! {
    page {
        LanguageName: "English", "中文";
        SwitchLanguage: "Language", "语言";
        Navigation: "Pages", "页面";
        SkipToContent: "Skip to the content", "跳到内容";
        Theme: "Dark or light", "深色或浅色";
        Keys: "Keys", "快捷键";
        Close: "Close", "关闭";
        CloseMessage: "Close the message", "关闭消息";
        Cancel: "Cancel", "取消";
        Processes: "Processes", "进程";
        Refresh: "Refresh", "刷新";
        DaemonLog: "Daemon log", "守护进程日志";
        ToStatusPage: "To the status page", "返回状态页";
        StatusTitle: "Supervisor Status", "Supervisor 状态";
        Connecting: "connecting…", "连接中…";
        LiveTitle: "Changes are shown as they happen", "变化会立即显示";

        KeyFilter: "Filter or search", "筛选或搜索";
        KeyClear: "Clear the filter", "清除筛选";
        KeyNext: "Next process", "下一个进程";
        KeyPrevious: "Previous process", "上一个进程";
        KeySelect: "Select the process", "选择该进程";
        KeySelectShown: "Select all that are shown", "选择所有显示的进程";
        KeyLog: "Open the log of the process", "打开该进程的日志";
        KeyFailing: "Failing first", "故障优先";
        KeyHelp: "Show these keys", "显示这些快捷键";

        States: "States", "状态";
        CountOfProcesses: " processes", " 个进程";
        Filter: "Filter", "筛选";
        FilterHint: "Filter (/)", "筛选 (/)";
        FilterLabel: "Filter by name or state", "按名称或状态筛选";
        Order: "Order", "顺序";
        FailingFirst: "Failing first", "故障优先";
        ByGroup: "By group", "按组";
        SelectShown: "Select all shown", "选择全部显示项";
        SelectNone: "Select none", "取消选择";
        SelectProcess: "Select {0}", "选择 {0}";
        NoPrograms: "No programs to manage", "没有可管理的程序";
        NoProgramsHint: "Add a section [program:NAME] with command= to the configuration file, then run:",
            "在配置文件中添加带有 command= 的 [program:NAME] 段，然后运行：";
        ShowAll: "Show all", "显示全部";

        ColumnName: "Name", "名称";
        ColumnState: "State", "状态";
        ColumnPid: "PID", "PID";
        ColumnUptime: "Uptime", "运行时间";
        ColumnRestarts: "Restarts", "重启次数";
        ColumnCpu: "CPU", "CPU";
        ColumnMemory: "Memory", "内存";
        ColumnLastExit: "Last exit", "上次退出";
        ColumnAction: "Action", "操作";
        SortBy: "Sort by {0}", "按{0}排序";
        OfRunning: " of {0} running", "/{0} 运行中";

        Start: "Start", "启动";
        Stop: "Stop", "停止";
        Restart: "Restart", "重启";
        Clear: "Clear", "清空";
        StartAll: "Start all", "全部启动";
        StopAll: "Stop all", "全部停止";
        RestartAll: "Restart all", "全部重启";
        ClearAll: "Clear all logs", "清空全部日志";
        StartSelected: "Start selected", "启动所选";
        StopSelected: "Stop selected", "停止所选";
        RestartSelected: "Restart selected", "重启所选";
        ClearSelected: "Clear logs of selected", "清空所选日志";
        Log: "Log", "日志";
        Logs: "Logs", "日志";
        ActionOn: "{0}: {1}", "{0}：{1}";
        GroupPhrase: "group {0}", "组 {0}";
        ProcessPhrase: "process {0}", "进程 {0}";
        AllPhrase: "all processes", "所有进程";
        SelectedPhrase: "{0} selected processes", "所选的 {0} 个进程";
        LogOf: "Log of {0}", "{0} 的日志";
        ClearBoth: "Clear both logs", "清空两个日志";
        ClearQuestion: "Clear both logs of process {0} of group {1}?", "清空组 {1} 中进程 {0} 的两个日志？";
        GroupQuestion: "{0}: all {1} processes of group {2}?", "{0}：组 {2} 的全部 {1} 个进程？";
        AllQuestion: "{0}: all {1} processes?", "{0}：全部 {1} 个进程？";
        TargetQuestion: "{0} {1}?", "{0}{1}？";

        StateRunning: "running", "运行";
        StateStarting: "starting", "启动中";
        StateBackoff: "backoff", "等待重试";
        StateStopping: "stopping", "停止中";
        StateFatal: "fatal", "严重故障";
        StateExited: "exited", "已退出";
        StateStopped: "stopped", "已停止";
        StateUnknown: "unknown", "未知";
        HealthNone: "", "";
        HealthHealthy: "healthy", "健康";
        HealthUnhealthy: "unhealthy", "不健康";

        DescribePid: "pid {0}", "进程号 {0}";
        DescribeNotStarted: "Not started", "未启动";
        DescribeUnknownError: "unknown error; see the log", "未知错误，请查看日志";
        DescribeSince: "since {0}", "自 {0}";
        NextAttempt: ", next attempt at {0}", "，下次尝试于 {0}";
        NextRun: ", next run {0}", "，下次运行 {0}";
        EventsDiscarded: "{0} events discarded; ", "丢弃了 {0} 个事件；";
        ExitCode: "exit status {0}", "退出码 {0}";
        ExitUnknown: "exit status unknown", "退出码未知";
        ExitDumped: "{0}, core dumped", "{0}，已转储核心";
        EndedTooEarly: "{0}, too early", "{0}，过早退出";
        EndedUnready: "{0}, before it was ready", "{0}，就绪之前";
        EndedNotReady: "readiness timeout, {0}", "就绪超时，{0}";
        EndedWatchdog: "watchdog, {0}", "看门狗，{0}";
        EndedUnhealthy: "unhealthy, {0}", "不健康，{0}";
        EndedStopped: "stopped, {0}", "已停止，{0}";
        ExitTime: "%b %-d %H:%M", "%-m月%-d日 %H:%M";
        ExitTimeSeconds: "%b %-d %H:%M:%S", "%-m月%-d日 %H:%M:%S";

        ProcessNamed: "Process {0}", "进程 {0}";
        GroupNamed: "Group {0}", "组 {0}";
        AllNamed: "All", "全部";
        SelectedNamed: "{0} selected", "所选 {0} 个";
        Started: "{0} started", "{0} 已启动";
        Stopped: "{0} stopped", "{0} 已停止";
        Restarted: "{0} restarted", "{0} 已重启";
        LogCleared: "Log of {0} cleared", "{0} 的日志已清空";
        LogForCleared: "Log for {0} cleared", "{0} 的日志已清空";
        LogsOfAll: "all", "全部";
        NotStarted: "ERROR: {0} not started: {1}", "错误：{0} 未启动：{1}";
        NotStopped: "ERROR: {0} not stopped: {1}", "错误：{0} 未停止：{1}";
        NotRestarted: "ERROR: {0} not restarted: {1}", "错误：{0} 未重启：{1}";
        NotCleared: "ERROR: {0} not cleared: {1}", "错误：{0} 未清空：{1}";
        SomeStarted: "{0} started, {1} failed: {2}", "{0} 个已启动，{1} 个失败：{2}";
        SomeStopped: "{0} stopped, {1} failed: {2}", "{0} 个已停止，{1} 个失败：{2}";
        SomeRestarted: "{0} restarted, {1} failed: {2}", "{0} 个已重启，{1} 个失败：{2}";
        SomeCleared: "{0} cleared, {1} failed: {2}", "{0} 个已清空，{1} 个失败：{2}";
        AndMore: " and {0} more", "，另有 {0} 个";
        OneFailed: "{0}: {1}", "{0}：{1}";
        Separator: ", ", "，";
        ErrorMessage: "ERROR: {0}", "错误：{0}";
        ErrorOf: "ERROR: {0}: {1}", "错误：{0}：{1}";
        ErrorStart: "ERROR", "错误";
        FailedMark: " failed: ", " 个失败：";
        NothingSelected: "ERROR: no process is selected", "错误：没有选择进程";
        Succeeded: "done", "成功";
        UnexpectedFault: "unexpected rpc fault [{0}] {1}", "意外的 RPC 错误 [{0}] {1}";
        UnexpectedStart: "unexpected rpc fault", "意外的 RPC 错误";
        NoSuchNamed: "No such process named {0}", "没有名为 {0} 的进程";
        NoSuchStart: "No such process", "没有名为";
        PageRefreshed: "Page refreshed at {0}", "页面刷新于 {0}";
        AllStoppedAt: "All stopped at {0}", "全部停止于 {0}";
        AllRestartedAt: "All restarted at {0}", "全部重启于 {0}";
        FaultNoFile: "no such file", "没有该文件";
        FaultNotExecutable: "file not executable", "文件不可执行";
        FaultAlreadyStarted: "already started", "已经启动";
        FaultSpawnError: "spawn error", "启动失败";
        FaultAbnormalTermination: "abnormal termination", "异常终止";
        FaultNotRunning: "not running", "未在运行";
        FaultBadName: "no such process", "没有该进程";

        Refused: "Refused", "已拒绝";
        OldForm: "The daemon was restarted after this page was loaded. Nothing was changed.", "本页加载之后守护进程已重新启动。没有做任何更改。";
        NoToken: "The form has no valid token. Nothing was changed.", "表单没有有效的令牌。没有做任何更改。";
        LinkCannotChange: "A link cannot change anything, because any web page could contain it.", "链接不能更改任何内容，因为任何网页都可能包含它。";
        OtherPage: "The request came from another web page.", "该请求来自另一个网页。";
        NotOurName: "“{0}” is not a name of this host. Use its address or host name, or add the name to “hosts” in the section of the server.",
            "“{0}”不是本机的名称。请使用本机的地址或主机名，或者把该名称加入服务器段的“hosts”。";

        ErrorTitle: "Error {0}", "错误 {0}";
        Error400: "The daemon does not understand the request.", "守护进程无法理解该请求。";
        Error403: "You have no permission for this.", "您没有此权限。";
        Error404: "There is nothing at this address.", "此地址没有内容。";
        Error405: "This address does not answer this kind of request.", "此地址不接受这种请求。";
        Error413: "The request is too large.", "请求过大。";
        Error500: "The daemon could not answer. Its log may say why.", "守护进程无法应答。其日志可能说明原因。";
        Error503: "The daemon is busy or stopping. Try again later.", "守护进程繁忙或正在停止。请稍后再试。";
        ErrorOther: "The request failed.", "请求失败。";

        TailTitle: "Supervisor tail of process {0}", "进程 {0} 的 Supervisor 日志";
        MainTailTitle: "Supervisor tail of the daemon's log", "守护进程的 Supervisor 日志";
        GroupTailTitle: "Supervisor tail of group {0}", "组 {0} 的 Supervisor 日志";
        GroupHeading: "Group {0}", "组 {0}";
        NoSuchGroup: "No such group. ", "没有该组。";
        NoSuchProcess: "There is no such process. ", "没有该进程。";
        FirstOf: "The first {0} of {1} processes", "{1} 个进程中的前 {0} 个";
        NoProcessName: "No process name found", "没有给出进程名称";
        NoFileFor: "No file for {0}", "{0} 没有日志文件";
        TheDaemonsLog: "the daemon's log", "守护进程的日志";
        StderrShown: "Standard output is empty. Standard error is shown.", "标准输出为空。显示的是标准错误。";
        Stream: "Stream", "输出流";
        Follow: " Follow", " 跟随";
        SearchHint: "Search (/)", "搜索 (/)";
        SearchLabel: "Show lines that contain", "显示包含以下内容的行";
        HowMuch: "How much is shown", "显示多少";
        LastBytes: "last {0}", "最后 {0}";
        Show: "Show", "显示";
        ClearLog: "Clear log", "清空日志";
        NoMatchingLines: "No matching lines.", "没有匹配的行。";
        BothStreams: "both", "全部";
        OrderOfBoth: "The two logs have no times in common. What is in them is shown by stream, the one that was written last at the end; new lines follow in the order of their arrival.",
            "两个日志没有共同的时间。已有内容按输出流显示，最后写入的在后；新的行按到达顺序显示。";
        Download: "Download", "下载";
        DownloadOf: "Download {0}", "下载 {0}";
        EndedInstances: "Last standard error of ended instances", "已结束实例的最后标准错误";
        EndedPid: "PID {0}, {1}", "进程号 {0}，{1}";
        EndedAt: ", {0}", "，{0}";

        Programs: "Programs", "程序";
        NacosConfiguration: "Nacos configuration", "Nacos配置";
        AddProgram: "Add program", "添加";
        Edit: "Edit", "编辑";
        Copy: "Copy", "复制";
        Delete: "Delete", "删除";
        ColumnFile: "File", "文件";
        NoProgramTexts: "The configuration has no [program:x] section.", "配置中没有 [program:x] 段。";
        EditOf: "Edit {0}", "编辑 {0}";
        CopyOf: "Copy {0}", "复制 {0}";
        NewName: "New name", "新名称";
        RawSection: "Section as text", "配置文本";
        Save: "Save", "保存";
        SaveRaw: "Save text", "保存文本";
        ChangesOf: "Changes of {0}", "{0} 的变更";
        NothingChanges: "Nothing changes.", "没有变更。";
        DeleteQuestion: "Delete {0}?", "删除 {0}？";
        Saved: "{0} saved", "{0} 已保存";
        Deleted: "{0} deleted", "{0} 已删除";
        NotDone: "Nothing was changed", "没有做任何更改";
        PlanAdd: "{0} will be added", "将添加 {0}";
        PlanRemove: "{0} will be stopped and removed", "将停止并删除 {0}";
        PlanRestart: "{0} will be restarted", "将重启 {0}";
        PlanRescale: "{0} will get another number of processes", "将改变 {0} 的进程数";
        PlanLive: "{0} will be changed without a restart", "将更改 {0}，无需重启";
        NacosServer: "Server address", "服务器地址";
        NacosDataid: "Data ID", "配置ID";
        NacosNamespace: "Namespace ID", "命名空间ID";
        NacosGroup: "Group", "配置分组";
        NacosUsername: "User name", "用户名";
        NacosPassword: "Password", "密码";
        PasswordSet: "set; leave it empty to keep it", "已设置；留空则保持不变";
        PasswordNotSet: "not set", "未设置";
        NotUseCache: "Do not use the cache", "不使用缓存";
        SaveConfiguration: "Save configuration", "保存配置";
        Test: "Test", "测试";
        TestPassed: "The item has {0} bytes and the MD5 {1}. It is a valid configuration.", "配置项有 {0} 字节，MD5 为 {1}，是有效的配置。";
        Leave: "Leave", "停用";
        NacosActive: "The configuration comes from the item {0}, MD5 {1}.", "配置来自配置项 {0}，MD5 为 {1}。";
        SourceCommand: "The configuration comes from the output of {0}, MD5 {1}.", "配置来自 {0} 的输出，MD5 为 {1}。";
        NacosInactive: "The configuration comes from local files.", "配置来自本地文件。";
        NeedsRestart: "Some changes take effect after a restart.", "部分更改在重启后生效。";
        NacosSaved: "Saved. The settings take effect after a restart of supervisord.", "已保存。重启 supervisord 后生效。";
        NacosLeft: "The saved settings were removed. That takes effect after a restart of supervisord.", "已删除保存的设置。重启 supervisord 后生效。";
        Versions: "Earlier versions", "历史版本";
        VersionOf: "Version of {0}", "{0} 的版本";
        ColumnTime: "Time", "时间";
        ColumnAuthor: "Author", "作者";
        ColumnChange: "Change", "变更";
        VersionCreated: "created", "创建";
        VersionChanged: "changed", "修改";
        VersionDeleted: "deleted", "删除";
        Compare: "Compare", "比较";
        NoVersions: "The server has no earlier texts of this item.", "服务器没有此配置项的历史版本。";
        NoLocalVersions: "The configuration is in local files. No earlier versions of them are kept.", "配置在本地文件中，不保留其历史版本。";
        SameVersion: "This version is the present text.", "此版本与当前内容相同。";
        RestoreQuestion: "Lines that begin with + come back, lines that begin with - go.", "以 + 开头的行将恢复，以 - 开头的行将删除。";
        Restore: "Restore this version", "恢复此版本";
        Restored: "The version of {0} was restored. It is applied when the server reports the change.", "已恢复 {0} 的版本，服务器通知变更后生效。";
        SecretsMasked: "Values of secrets are shown as ********.", "机密的值显示为 ********。";
        ItemHosts: "Hosts that use this item: {0}", "使用此配置项的主机：{0}";
        NoItemHosts: "No host uses this item now.", "目前没有主机使用此配置项。";
        HostsUnknown: "The Nacos server does not say which hosts use this item.", "Nacos 服务器没有说明哪些主机使用此配置项。";
        HostIsBehind: "{0} (another text)", "{0}（其他内容）";
        ChangedMeanwhile: "Changed by somebody else", "已被他人更改";
        ChangedMeanwhileHint: "Nothing was written. Put your changes into the present text, and save it.", "没有写入任何内容。请把您的更改合并到当前文本后保存。";
        PresentSection: "Present text", "当前文本";
        YourSection: "Your text", "您的文本";
        RestartDaemon: "Restart supervisord", "重启 supervisord";
        Restarting: "supervisord is restarting", "supervisord 正在重启";

        UpdateTitle: "Update", "更新";
        UpdateLink: "Update…", "更新…";
        PlanHint: "An update reads the configuration again and does this. Nothing has been changed yet.", "更新会重新读取配置并执行以下操作。目前尚未做任何更改。";
        NothingToUpdate: "The configuration has not changed. There is nothing to update.", "配置没有变化，无需更新。";
        UnchangedGroups: "{0} groups do not change.", "{0} 个组没有变化。";
        UpdateNow: "Update now", "立即更新";
        UpdateGoesOn: "The update goes on. The states show how far it is.", "更新仍在进行。进程状态会显示进度。";
        Updated: "Updated: {0}", "已更新：{0}";
        UpdateAdded: "added {0}", "已添加 {0}";
        UpdateChanged: "changed {0}", "已更改 {0}";
        UpdateRemoved: "removed {0}", "已删除 {0}";
        RollingUpdate: "{0} processes at a time; the next ones follow when these are ready.", "每次 {0} 个进程；就绪后再继续下一批。";
        ConfigBroken: "The configuration has an error. Nothing has been changed.", "配置有错误。没有做任何更改。";
        ColumnBefore: "Now", "当前";
        ColumnAfter: "After the update", "更新后";
        HiddenValue: "not shown", "不显示";
        RestartHint: "Stops all processes, reads the configuration, and starts the processes again.", "停止所有进程，重新读取配置，然后再次启动进程。";
        RestartBegun: "The status page is there again when all processes have stopped.", "所有进程停止后，状态页会再次可用。";
        RestartQuestion: "Restart supervisord?", "重启 supervisord？";
        RollingRestart: "Rolling restart", "滚动重启";
        RollingHint: "Restarts the running processes one after another: the next one when the previous one is ready.", "逐个重启正在运行的进程：前一个就绪后再重启下一个。";
        AtOnce: "At a time", "每次数量";
        MaxFailures: "Failures allowed", "允许失败数";
        WaitHealthy: "Wait until healthy", "等待健康";
        RollingGoesOn: "The rolling restart of group {0} goes on. The states show how far it is.", "组 {0} 的滚动重启仍在进行。进程状态会显示进度。";
        NumprocsLabel: "Number of processes", "进程数";
        Scale: "Change number", "更改数量";
        Scaled: "{0} has {1} processes now", "{0} 现有 {1} 个进程";

        Overview: "Overview", "概览";
        Since: "In this state since", "进入该状态";
        Yes: "yes", "是";
        No: "no", "否";
        Health: "Health", "健康";
        Ready: "Ready", "就绪";
        SaysLabel: "Says", "状态消息";
        NextAttemptLabel: "Next attempt", "下次尝试";
        NextRunLabel: "Next run", "下次运行";
        Events: "Events", "事件";
        EventCounts: "{0} waiting, {1} discarded", "{0} 个等待，{1} 个已丢弃";
        GroupLabel: "Group", "组";
        SectionLabel: "Section", "配置段";
        ReadOnly: "You may look at this process, but not change it.", "您可以查看此进程，但不能更改它。";
        Reload: "Reload", "重新加载";
        Reloaded: "{0} reloaded", "{0} 已重新加载";
        Signal: "Signal", "信号";
        Send: "Send", "发送";
        SignalSent: "Signal {0} sent to {1}", "信号 {0} 已发送给 {1}";
        Dependencies: "Dependencies", "依赖";
        DependsOn: "Depends on", "依赖于";
        Dependents: "Processes that depend on it", "依赖于它的进程";
        Met: "reached", "已达到";
        NotMet: "not reached", "未达到";
        History: "History", "历史";
        NoHistory: "Nothing has happened yet.", "尚未发生任何事情。";
        ColumnLived: "Lived", "存活";
        ColumnWhat: "How it ended", "结束方式";
        Resources: "Resources", "资源";
        NotRunningNow: "The process does not run.", "进程未在运行。";
        Highest: "highest {0}", "最高 {0}";
        CurveOf: "{0} in the last hour: now {1}, {2}", "{0}，最近一小时：当前 {1}，{2}";
        Measuring: "measured at the next look", "下次查看时显示";
        CurveBegins: "The curve of the last hour begins now.", "最近一小时的曲线从现在开始。";
        Unknown: "unknown", "未知";
        OpenFiles: "Open files", "打开的文件";
        Limits: "Limits", "限制";
        MemoryPeak: "Memory peak", "内存峰值";
        BytesRead: "Read", "读取";
        BytesWritten: "Written", "写入";
        ProcessesAndThreads: "Processes and threads", "进程和线程";
        Pressure: "Waited for", "等待";
        WholeLog: "Open the log", "打开日志";
        Configuration: "Configuration", "配置";
        DefaultKeys: "{0} keys with their defaults", "{0} 个使用默认值的键";
        ColumnKey: "Key", "键";
        ColumnValue: "Value", "值";
        ColumnOrigin: "Written in", "所在位置";
        Default: "default", "默认";
        SameAsDefault: "(the default)", "（默认值）";
    }
    scripts {
        Live: "live", "实时";
        NotLive: "not live", "未实时更新";
        NotFollowed: "not followed", "未跟随";
        DaemonStopping: "the daemon is stopping", "守护进程正在停止";
        NoAnswer: "The daemon does not answer.", "守护进程没有应答。";
        NotKept: "This page is not kept up to date.", "本页不再更新。";
        NoFollow: "This log is not followed any more.", "不再跟随此日志。";
        LastAnswer: "{0} Last answer: {1}", "{0} 最后应答：{1}";
        Answered: "The daemon answered {0} {1}", "守护进程应答 {0} {1}";
        LogEmpty: "This log is empty.", "此日志为空。";
        NoLineContains: "No line contains what is searched for.", "没有行包含搜索的内容。";
        OneLine: "{0} line", "{0} 行";
        ManyLines: "{0} lines", "{0} 行";
        OneNewLine: "↓ {0} new line", "↓ {0} 个新行";
        ManyNewLines: "↓ {0} new lines", "↓ {0} 个新行";
        ToTheEnd: "↓ To the end", "↓ 到末尾";
        SpanDays: "{0} d {1} h", "{0} 天 {1} 小时";
        SpanHours: "{0} h {1} min", "{0} 小时 {1} 分";
        SpanMinutes: "{0} min {1} s", "{0} 分 {1} 秒";
        SpanSeconds: "{0} s", "{0} 秒";
        AgeDays: "{0} d ago", "{0} 天前";
        AgeHours: "{0} h ago", "{0} 小时前";
        AgeMinutes: "{0} min ago", "{0} 分钟前";
        AgeNow: "just now", "刚刚";
        StartThese: "Start these {0}", "启动这 {0} 个";
        StopThese: "Stop these {0}", "停止这 {0} 个";
        RestartThese: "Restart these {0}", "重启这 {0} 个";
        ClearThese: "Clear logs of these {0}", "清空这 {0} 个的日志";
        TheseQuestion: "{0}?", "{0}？";
        FatalTitle: "({0} fatal) {1}", "({0} 个严重故障) {1}";
        FoldGroups: "Fold groups", "折叠组";
        UnfoldGroups: "Unfold groups", "展开组";
        NoMatch: "No process matches “{0}”.", "没有进程匹配“{0}”。";
        FoldGroup: "Fold group {0}", "折叠组 {0}";
        UnfoldGroup: "Unfold group {0}", "展开组 {0}";
        Checking: "checking…", "检查中…";
        IsValid: "The configuration is valid.", "配置有效。";
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_actions::PAGE_ACTIONS;
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The placeholders of a text.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn both_languages_are_complete() {
        for (name, text) in Text::ALL {
            let [english, chinese] = text.columns();
            assert_eq!(english.is_empty(), chinese.is_empty(), "{name}");
            assert_eq!(placeholders(english), placeholders(chinese), "{name}");
            let numbers: Vec<String> = (0..placeholders(english).len())
                .map(|number| number.to_string())
                .collect();
            assert!(
                placeholders(english)
                    .into_iter()
                    .eq(numbers.iter().map(String::as_str)),
                "{name}: {english}"
            );
        }
    }

    #[test]
    fn chinese_texts_are_chinese_and_english_ones_are_not() {
        let is_chinese = |text: &str| text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}'));
        // The same in both languages: names and punctuation.
        let same = [
            "ColumnPid",
            "ColumnCpu",
            "HealthNone",
            "ActionOn",
            "TargetQuestion",
            "OneFailed",
            "Separator",
            "EndedAt",
            "TheseQuestion",
        ];
        for (name, text) in Text::ALL {
            let [english, chinese] = text.columns();
            assert!(!is_chinese(english), "{name}");
            assert_eq!(
                !is_chinese(chinese),
                same.contains(name),
                "{name}: {chinese}"
            );
        }
    }

    #[test]
    fn values_are_filled_in_and_never_read_as_placeholders() {
        let text = Language::English.fill(Text::ErrorOf, &[&"{1}", &7]);
        assert_eq!(text, "ERROR: {1}: 7");
        let text = Language::Chinese.fill(Text::ClearQuestion, &[&"p", &"g"]);
        assert_eq!(text, "清空组 g 中进程 p 的两个日志？");
    }

    fn source(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/web");
        std::fs::read_to_string(folder.join(name)).expect("readable")
    }

    #[test]
    fn scripts_know_exactly_their_texts() {
        let mut used = BTreeSet::new();
        let scripts = ["theme.js", "status.js", "log.js", "process.js", "edit.js"]
            .map(|name| source(&format!("assets/{name}")));
        for script in &scripts {
            for part in script.split("text(\"").skip(1) {
                used.extend(part.split('"').next());
            }
        }
        used.extend(PAGE_ACTIONS.iter().map(|action| action.label_these.name()));
        let known: BTreeSet<&str> = Text::OF_SCRIPTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(used, known);
    }

    /// String literals of Rust or JavaScript outside comments and tests.
    fn literals(code: &str) -> Vec<String> {
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for line in code.lines() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let line = line.replace("\\\"", "'");
            for quote in ['"', '`'] {
                let pieces: Vec<&str> = line.split(quote).collect();
                found.extend(
                    pieces
                        .iter()
                        .skip(1)
                        .step_by(2)
                        .map(|piece| (*piece).to_owned()),
                );
            }
        }
        found
    }

    /// Whether a literal looks like English: two words, or a word with a capital letter.
    fn is_english(literal: &str) -> bool {
        let is_word = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic());
        let words: Vec<&str> = literal
            .split_whitespace()
            .map(|word| word.trim_end_matches(['.', ',', '?', '!', ':', '…']))
            .collect();
        let is_sentence = words.iter().filter(|word| is_word(word)).count() >= 2
            && !literal.contains(['=', '#', '[', '>', '/', ';', '<']);
        let is_capital = literal.starts_with(|c: char| c.is_ascii_uppercase());
        is_sentence || is_capital && words.iter().all(is_word)
    }

    #[test]
    fn no_page_code_has_english_texts_of_its_own() {
        // Not texts of the page: names of the protocols and of the browser, and selectors.
        let mut allowed = vec![
            "GET",
            "POST",
            "HEAD",
            "Accept",
            "INPUT",
            "SELECT",
            "TEXTAREA",
            "Escape",
            "Esc",
            "Cell",
            "DOMContentLoaded",
            "None",
            "use strict",
            "light dark",
            "exited red",
            "running red",
            "supervisorctl update",
            "SIG",
        ];
        allowed.extend(Text::ALL.iter().map(|(name, _)| *name));
        allowed.extend(super::super::process::SIGNALS);
        let mut seen = 0;
        for name in [
            "page.rs",
            "table.rs",
            "table_view.rs",
            "row.rs",
            "row_text.rs",
            "status.rs",
            "toolbar.rs",
            "log.rs",
            "log_view.rs",
            "log_excerpt.rs",
            "log_download.rs",
            "group_log.rs",
            "links.rs",
            "last_stderr.rs",
            "confirmation.rs",
            "csrf.rs",
            "actions.rs",
            "action_outcome.rs",
            "page_actions.rs",
            "error_page.rs",
            "assets/theme.js",
            "assets/status.js",
            "assets/log.js",
            "assets/process.js",
            "group.rs",
            "update.rs",
            "process/mod.rs",
            "process/act.rs",
            "process/buttons.rs",
            "process/configuration.rs",
            "process/dependencies.rs",
            "process/history.rs",
            "process/log_end.rs",
            "process/overview.rs",
            "process/usage.rs",
        ] {
            for literal in literals(&source(name)) {
                seen += 1;
                let is_allowed = allowed.contains(&literal.as_str());
                assert!(is_allowed || !is_english(&literal), "{name}: {literal:?}");
            }
        }
        assert!(seen > 500, "{seen}");
        assert!(
            is_english("No programs to manage") && is_english("Start") && !is_english("td.name")
        );
    }
}
