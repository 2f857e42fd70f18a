//! The pages of the hub.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    HUB_TEXTS {
        HubTitle: "Supervisor hosts", "Supervisor 主机";
        Hosts: "Hosts", "主机";
        Environments: "Environments", "环境";
        Groups: "Groups", "分组";
        Activity: "Activity", "操作记录";
        Users: "Users", "用户";
        About: "About", "关于";
        OwnAccount: "Own account", "我的账号";
        ToOverview: "To the overview", "返回概览";
        WithoutName: "(without a name)", "（未命名）";

        LogIn: "Log in", "登录";
        LogOut: "Log out", "退出";
        UserName: "User name", "用户名";
        Password: "Password", "密码";
        OldPassword: "Present password", "当前密码";
        NewPassword: "New password", "新密码";
        NewPasswordAgain: "Password again", "再次输入密码";
        ChangePassword: "Change the password", "修改密码";
        WrongLogin: "The user name or the password is wrong.", "用户名或密码错误。";
        TooManyLogins: "There were too many wrong passwords. Try again in {0} s.", "密码错误次数过多，请在 {0} 秒后重试。";
        MustChangePassword: "The password is the default one, which everybody knows. Nothing can be done before it is changed.",
            "当前使用的是众所周知的默认密码，修改之前无法执行任何操作。";
        DefaultPassword: "default password", "默认密码";
        OldPasswordWrong: "The present password is wrong.", "当前密码错误。";
        PasswordTooLong: "The new password is too long.", "新密码过长。";
        PasswordKnown: "Everybody knows this password. Choose another one.", "这个密码众所周知，请换一个。";
        PasswordsDiffer: "The two passwords are not the same.", "两次输入的密码不一致。";
        PasswordChanged: "The password was changed. All other sessions have ended.", "密码已修改，其他会话已全部结束。";
        PasswordAtProxy: "A reverse proxy has logged you in. Its password is changed there.", "您通过反向代理登录，请在那里修改密码。";
        LogOutAtProxy: "A reverse proxy has logged you in. Log out there.", "您通过反向代理登录，请在那里退出。";
        TokensHint: "Tokens for scripts are made with", "脚本使用的令牌可通过以下接口创建：";
        RoleViewer: "viewer", "只读用户";
        RoleOperator: "operator", "普通用户";
        RoleAdmin: "admin", "管理员";
        NoLimits: "all environments and groups", "所有环境和分组";
        OnlyEnvironments: "environments: {0}", "环境：{0}";
        OnlyGroups: "groups: {0}", "分组：{0}";

        ColumnHost: "Host", "主机";
        ColumnEnvironment: "Environment", "环境";
        ColumnReason: "Reason", "原因";
        ColumnSince: "Since", "开始于";
        ColumnVersion: "Version", "版本";
        ColumnEvent: "What", "操作";
        ColumnResult: "Result", "结果";
        ColumnAddress: "Address", "地址";
        ColumnRole: "Role", "角色";
        ColumnLimits: "Reaches", "可访问";
        ByName: "By name", "按名称";
        CountOfHosts: "hosts", "台主机";
        CountFailing: "failing", "故障";
        CountRunning: "{0} running", "{0} 个运行";
        CountHosts: "{0} hosts", "{0} 台主机";
        CountProcesses: "{0} processes", "{0} 个进程";
        CountConnected: "{0} connected", "{0} 台已连接";
        CountNotConnected: "{0} not connected", "{0} 台未连接";
        ConnectedOf: "{0} of {1} connected", "{1} 台中 {0} 台已连接";
        FilterHosts: "Filter by host, environment, tag or state", "按主机、环境、标签或状态筛选";
        FilterEnvironments: "Filter by environment or host", "按环境或主机筛选";
        FilterGroups: "Filter by group or environment", "按分组或环境筛选";
        FilterProcesses: "Filter by process, group, host, environment or state", "按进程、分组、主机、环境或状态筛选";
        FilterActivity: "Filter by user, host, process or result", "按用户、主机、进程或结果筛选";
        FilterUsers: "Filter by name or role", "按名称或角色筛选";
        NoHosts: "There are no hosts", "没有主机";
        NoHostsHint: "Add [[nodes]] to the configuration of the hub, then reload it. Users with limits see only hosts within them.",
            "在 hub 的配置中添加 [[nodes]]，然后重新加载。受限用户只能看到其范围内的主机。";
        NoGroups: "No host has told its processes yet.", "还没有主机报告其进程。";
        NoProcessesHere: "This host has no processes that you may see.", "此主机没有您可查看的进程。";
        LastKnown: "These are the last known processes. The last answer came {0}.", "这些是最后已知的进程，最后一次应答：{0}。";
        NotCurrent: "last known", "最后已知";
        HiddenProcesses: "{0} processes with names that are invalid or occur twice are not shown.", "{0} 个名称无效或重复的进程未显示。";
        LogOnHost: "Log of {0} on {1}", "{1} 上 {0} 的日志";

        EnvironmentNamed: "Environment {0}", "环境 {0}";
        ManyQuestion: "{0}: all {1} processes? ({2})", "{0}：全部 {1} 个进程？（{2}）";
        ActionQuestion: "{0}: {1}?", "{0}：{1}？";
        OnAllHosts: "On all hosts", "所有主机";
        OnSelectedHosts: "On the selected hosts", "所选主机";
        OnSelectedProcesses: "On the selected processes", "所选进程";
        OnAllMatching: "On all {0} that match", "全部 {0} 个匹配项";
        AllAtOnce: "all", "全部";
        NoHostSelected: "ERROR: no host is selected", "错误：没有选择主机";
        MatchingProcesses: "processes that match “{0}”", "匹配“{0}”的进程";
        CountMatching: "{0} processes match.", "{0} 个进程匹配。";
        FirstOfGroups: "The first {0} of {1} groups", "{1} 个分组中的前 {0} 个";
        PartsOfList: "Parts of the list", "分页";
        PartOf: "{0} of {1}", "第 {0} 页，共 {1} 页";
        PartBefore: "← Previous", "← 上一页";
        PartAfter: "Next →", "下一页 →";

        Operations: "Own actions on many processes", "我的批量操作";
        NoOperations: "You have begun no action on many processes since the hub was started.", "自 hub 启动以来，您没有执行过批量操作。";
        OperationRuns: "in progress", "进行中";
        OperationStopping: "stopping", "正在停止";
        OperationStopped: "stopped", "已停止";
        OperationSucceeded: "done", "已完成";
        OperationFailed: "done with failures", "已完成，有失败";
        DoneOf: "{0} of {1} done, {2} failed", "已完成 {0}/{1}，失败 {2}";
        DoneAndFailed: "{0} done, {1} failed", "完成 {0}，失败 {1}";
        StopOperation: "Do not go on", "停止后续操作";
        StopOperationHint: "Actions that have begun go on to their end; further ones do not begin.", "已开始的操作会执行完毕，不再开始新的操作。";
        Results: "Results", "结果";
        Unchanged: "was so already", "无需更改";
        ActionGoesOn: "The action goes on. The states show how far it is.", "操作仍在进行，进程状态会显示进度。";
        NoSuchHost: "There is no such host.", "没有该主机。";
        NoSuchOperation: "There is no such action. The hub may have been restarted since.", "没有该操作，hub 可能已重新启动。";
        NotUnderstood: "The hub does not understand the request.", "hub 无法理解该请求。";
        TooManyProcesses: "There are more than {0} processes.", "进程超过 {0} 个。";
        TooManyOperations: "Too many actions run. Wait until some have ended.", "正在执行的操作过多，请等待其中一些结束。";
        TooManyStreams: "Too many pages are open. Close some.", "打开的页面过多，请关闭一些。";
        HostNotConnected: "the host is not connected: {0} {1}", "主机未连接：{0} {1}";
        NoAnswerWithin: "no answer within {0} s", "{0} 秒内没有应答";

        NoActivity: "Nothing has been done yet.", "尚无操作记录。";
        ClearActivity: "Clear the log", "清空记录";
        ClearActivityQuestion: "Clear the activity log?", "清空操作记录？";
        ActivityCleared: "The activity log was cleared", "操作记录已清空";
        AddUser: "Add user", "添加用户";
        UserAdded: "{0} was added", "{0} 已添加";
        PasswordKept: "empty: it stays", "留空则保持不变";
        LimitEnvironments: "Only these environments", "仅限环境";
        LimitGroups: "Only these groups", "仅限分组";
        LimitsHint: "Patterns with commas between them, such as prod*. Empty: all. An admin has no limits.", "用逗号分隔的模式，例如 prod*。留空表示全部。管理员不受限制。";
        AboutHint: "Shows and controls the processes of many hosts.", "显示并控制多台主机的进程。";
        InterfaceDescription: "Description of the interface (OpenAPI)", "接口说明 (OpenAPI)";
        PrometheusTargets: "Hosts as targets for Prometheus", "作为 Prometheus 目标的主机";
    }
}

texts! {
    /// The texts that only the scripts of the hub use.
    HUB_SCRIPT_TEXTS {
        NodeConnecting: "connecting", "连接中";
        NodeConnected: "connected", "已连接";
        NodeUnreachable: "unreachable", "无法连接";
        NodeUnauthorized: "unauthorized", "认证失败";
        NodeNotASupervisor: "not a supervisor", "不是 supervisor";
        NodeNoRpcInterface: "no rpc interface", "没有 RPC 接口";
        NodeDisabled: "disabled", "已停用";
        RunningOf: "{0} of {1} running", "{0}/{1} 运行中";
        CountFailed: "{0} failed", "{0} 个故障";
        CountStarting: "{0} starting", "{0} 个启动中";
        CountStopped: "{0} stopped", "{0} 个停止";
        HubSilent: "The hub does not answer.", "hub 没有应答。";
        NoHostMatches: "No host matches “{0}”.", "没有主机匹配“{0}”。";
    }
}
