using System.Globalization;

namespace RedisFailover.Shared;

/// <summary>How a length of time is written in settings: 500ms, 2s, 5m, 24h; a bare number is milliseconds.</summary>
internal static class Duration
{
    private static readonly (string Suffix, double Millis)[] Units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

    /// <summary>The time that a text means; null where it means none.</summary>
    internal static TimeSpan? Parse(string text)
    {
        (string suffix, double millis) = Units.FirstOrDefault(unit => text.EndsWith(unit.Suffix, StringComparison.Ordinal), ("", 1));
        return double.TryParse(text[..^suffix.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
            && number * millis < TimeSpan.MaxValue.TotalMilliseconds
            ? TimeSpan.FromMilliseconds(number * millis)
            : null;
    }

    /// <summary>The shortest of such texts, in the largest unit that leaves a whole number.</summary>
    internal static string Text(TimeSpan time)
    {
        (string suffix, double millis) =
            Units.Last(unit => unit.Suffix == "ms" || (time > TimeSpan.Zero && time.TotalMilliseconds % unit.Millis == 0));
        return string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds / millis:0.###}{suffix}");
    }
}
