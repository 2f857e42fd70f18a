//! Results of actions, refusals and errors.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    MESSAGE_TEXTS {
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
    }
}
