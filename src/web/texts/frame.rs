//! What surrounds the content of every page.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    FRAME_TEXTS {
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
    }
}
