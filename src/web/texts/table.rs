//! The table of processes, its tools and its buttons.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    TABLE_TEXTS {
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
    }
}
