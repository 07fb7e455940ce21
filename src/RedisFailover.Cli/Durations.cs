using System.CommandLine;
using System.Globalization;

namespace RedisFailover.Cli;

/// <summary>
/// How a length of time is given to any option of this tool: 500ms, 2s, 1.5s, 2m, 1h; a bare number is of the option's own unit.
/// </summary>
internal static class Durations
{
    private static readonly (string Suffix, TimeSpan Unit)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("s", TimeSpan.FromSeconds(1)), ("m", TimeSpan.FromMinutes(1)), ("h", TimeSpan.FromHours(1)),
            ("d", TimeSpan.FromDays(1)),
    ];

    /// <summary>
    /// An option that takes a length of time within bounds, with an error that names it, what was given and what is allowed. Null where it
    /// is not given: whoever reads it goes by <paramref name="initial"/> then, which the help tells in the form that is allowed.
    /// </summary>
    internal static Option<TimeSpan?> Option(string name, string description, TimeSpan? initial, TimeSpan least, TimeSpan most,
        string bare = "s")
    {
        string allowed = $"{Text(least)} to {Text(most)}";
        Option<TimeSpan?> option = new(name)
        {
            Description = $"{description}: {Examples(bare)}; {allowed}; a bare number is "
                    + $"{(bare == "ms" ? "milliseconds" : bare == "h" ? "hours" : "seconds")}"
                    + (initial is { } otherwise ? $" (default: {Text(otherwise)})" : ""),
            HelpName = "time",
            CustomParser = result =>
            {
                string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
                if (Parse(text, bare) is { } time && time >= least && time <= most)
                {
                    return time;
                }

                result.AddError($"{name} is '{text}'; allowed: a time from {Text(least)} to {Text(most)}, such as {Examples(bare)}.");
                return null;
            },
        };
        return option;
    }

    private static string Examples(string bare) => bare == "h" ? "90m, 24h, 7d" : "500ms, 2s, 1m";

    /// <summary>The time that a text means; null where it means none.</summary>
    internal static TimeSpan? Parse(string text, string bare)
    {
        (string suffix, TimeSpan unit) = Units.FirstOrDefault(u => text.EndsWith(u.Suffix, StringComparison.Ordinal));
        string number = suffix is null ? text : text[..^suffix.Length];
        unit = suffix is null ? Units.Single(u => u.Suffix == bare).Unit : unit;
        return double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            && value * unit.TotalMilliseconds <= TimeSpan.FromDays(10_000).TotalMilliseconds
            ? value * unit
            : null;
    }

    private static string Text(TimeSpan time)
        => time.TotalHours >= 2 && time.Ticks % TimeSpan.TicksPerHour == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalHours:0}h")
            : time.TotalSeconds < 1 ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0}ms")
            : string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.###}s");
}
