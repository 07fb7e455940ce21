using System.Globalization;

namespace RedisFailover;

/// <summary>Comparing sentences that are said again and again with other figures in them.</summary>
internal static class Words
{
    private const int MostQuoted = 100;

    /// <summary>
    /// Whether two texts differ in digits alone, but for those of host:port: an offset that grows is no news, another node is.
    /// </summary>
    public static bool SameButForNumbers(string? one, string? other)
    {
        if (one == other || one is null || other is null)
        {
            return one == other;
        }

        string[] words = one.Split(' '), others = other.Split(' ');
        return words.Length == others.Length && words.Zip(others).All(w => w.First == w.Second
            || (!w.First.Contains(':', StringComparison.Ordinal) && w.First.Where(NoDigit).SequenceEqual(w.Second.Where(NoDigit))));
    }

    /// <summary>What somebody else wrote, as it is quoted: on one line, and no longer than a line bears.</summary>
    public static string Quoted(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string line = text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)) : text;
        return line.Length <= MostQuoted ? line : string.Concat(line.AsSpan(0, MostQuoted), "…");
    }

    /// <summary>"1 monitor is", "2 monitors are".</summary>
    public static string Count(int number, string one, string several)
        => string.Create(CultureInfo.InvariantCulture, $"{number} {(number == 1 ? one : several)}");

    /// <summary>"90 s", "30 min", "2 h": in the largest unit of which it is a whole number.</summary>
    public static string Lasting(TimeSpan time)
        => time.Ticks % TimeSpan.TicksPerHour == 0 ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalHours:0} h")
            : time.Ticks % TimeSpan.TicksPerMinute == 0 ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalMinutes:0} min")
            : string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.###} s");

    private static bool NoDigit(char c) => !char.IsAsciiDigit(c);
}
