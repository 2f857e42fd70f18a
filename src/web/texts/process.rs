//! The pages of a process and of a group.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    PROCESS_TEXTS {
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
}
