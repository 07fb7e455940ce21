using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace RedisFailover.Client;

/// <summary>What stands under a path: a device or a pipe must be neither read, which may never end, nor replaced.</summary>
internal static class FileKind
{
    private const int CurrentDirectory = -100;
    private const uint TypeAndMode = 3;
    private const int ModeOffset = 28;
    private const int TypeMask = 0xF000;
    private const int RegularFile = 0x8000;

    /// <summary>What it is instead of a regular file, links followed; null when it is one or nothing is there.</summary>
    public static string? Fault(string path)
    {
        if (path.Contains('\0', StringComparison.Ordinal))
        {
            return "a path with a NUL character";
        }

        if (Directory.Exists(path))
        {
            return "a directory";
        }

        return OperatingSystem.IsLinux() && File.Exists(path) && IsSpecial(path) ? "a device, a pipe or a socket" : null;
    }

    private static bool IsSpecial(string path)
    {
        // struct statx is the same for all processors, struct stat is not.
        byte[] answer = new byte[256];
        try
        {
            return Statx(CurrentDirectory, System.Text.Encoding.UTF8.GetBytes(path + '\0'), 0, TypeAndMode, answer) == 0
                && ((BitConverter.IsLittleEndian
                    ? BinaryPrimitives.ReadUInt16LittleEndian(answer.AsSpan(ModeOffset))
                    : BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(ModeOffset))) & TypeMask) != RegularFile;
        }
        catch (Exception missing) when (missing is EntryPointNotFoundException or DllNotFoundException)
        {
            // A C library older than statx cannot tell.
            return false;
        }
    }

    [DllImport("libc", EntryPoint = "statx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Statx(int directory, byte[] path, int flags, uint mask, [Out] byte[] answer);
}
