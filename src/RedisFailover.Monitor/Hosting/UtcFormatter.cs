using System.Globalization;
using Serilog.Events;
using Serilog.Formatting;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Writes times as UTC with a Z, so that lines of several machines can be compared, and no line longer than a terminal bears: what is cut
/// off stands in the JSON log, in the znodes and in <c>redis-failover status</c>.
/// </summary>
/// <param name="inner">What formats an event, in its own time.</param>
/// <param name="longest">The most characters of a line; null: as many as there are.</param>
internal sealed class UtcFormatter(ITextFormatter inner, int? longest) : ITextFormatter
{
    /// <summary>How many characters a line of text has at most.</summary>
    internal const int LongestLine = 200;

    /// <inheritdoc/>
    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        inner.Format(InUtc(logEvent), text);
        foreach (string line in text.ToString().TrimEnd('\n', '\r').Split('\n'))
        {
            string whole = line.TrimEnd('\r');
            output.Write(whole.Length <= (longest ?? int.MaxValue) ? whole : string.Concat(whole.AsSpan(0, longest!.Value - 1), "…"));
            output.Write('\n');
        }
    }

    private static LogEvent InUtc(LogEvent e) => e.Timestamp.Offset == TimeSpan.Zero ? e : new LogEvent(
        e.Timestamp.ToUniversalTime(), e.Level, e.Exception, e.MessageTemplate,
            e.Properties.Select(p => new LogEventProperty(p.Key, p.Value)));
}
