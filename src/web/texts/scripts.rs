//! Texts of the scripts, which know them by their names.

use super::{Text, TextRow, texts};

texts! {
    /// The texts of the scripts of all pages with processes.
    SCRIPT_TEXTS {
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
