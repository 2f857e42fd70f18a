//! The log pages.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    LOG_TEXTS {
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
    }
}
